//! Links that were clicked, given to the system's browser.

use std::sync::Arc;
use std::thread;

use egui::{Context, OutputCommand};

use super::inbox::{Inbound, Inbox};
use crate::app::{Answer, Severity};

/// Takes what was clicked out of what a frame asks of the system, and opens it. egui's own handler would say nothing when no browser starts, and needs
/// libraries for host names in every language, which take a minute of a core to compile.
pub(super) fn follow(ctx: &Context, inbox: &Arc<Inbox>) {
    for address in take(ctx) {
        let (answers, again, shown) = (Arc::clone(inbox), ctx.clone(), address.clone());
        // a browser may keep the one who starts it waiting until it is closed
        let started = thread::Builder::new().name("browser".into()).spawn(move || {
            if let Err(error) = open::that(&address) {
                refuse(&answers, &error, &address);
                again.request_repaint();
            }
        });
        if let Err(error) = started {
            refuse(inbox, &error, &shown);
        }
    }
}

fn take(ctx: &Context) -> Vec<String> {
    let mut addresses = Vec::new();
    ctx.output_mut(|output| {
        output.commands.retain(|command| match command {
            OutputCommand::OpenUrl(link) => {
                addresses.push(link.url.clone());
                false
            }
            _ => true,
        });
    });
    addresses
}

fn refuse(inbox: &Inbox, error: &std::io::Error, address: &str) {
    let text = format!("The link was not opened, no browser started ({error}). Copy the address into one: {address}");
    inbox.push(Inbound::Answer(Answer::Notice(Severity::Error, text)));
}

#[cfg(test)]
mod tests {
    use egui::OpenUrl;

    use super::*;

    #[test]
    fn links_are_taken_from_what_a_frame_asks_and_the_rest_stays() {
        let ctx = Context::default();
        let mut taken = Vec::new();
        let output = ctx.run_ui(egui::RawInput::default(), |ui| {
            ui.open_url(OpenUrl::new_tab("https://example.org/a"));
            ui.copy_text("copied".into());
            taken = take(ui.ctx());
        });
        assert_eq!(taken, ["https://example.org/a"]);
        assert_eq!(output.platform_output.commands, [OutputCommand::CopyText("copied".into())]);
    }
}
