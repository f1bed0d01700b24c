//! Whether pictures can be made here.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Whether there is an adapter to draw with; absence fails where drawing is required.
#[expect(clippy::print_stdout, reason = "a skipped comparison must not look like a passed one")]
pub fn can_render() -> bool {
    let required = std::env::var("INFERSCOPE_REQUIRE_RENDER").is_ok_and(|value| value == "1");
    let found = catch_unwind(AssertUnwindSafe(egui_kittest::wgpu::WgpuTestRenderer::new)).is_ok();
    assert!(found || !required, "no graphics adapter, and INFERSCOPE_REQUIRE_RENDER=1: install a software one (mesa-vulkan-drivers)");
    if !found {
        println!("no graphics adapter: pictures are not compared");
    }
    found
}
