use std::sync::{Arc, Mutex};

use super::*;
use crate::protocol::JobId;

#[test]
fn what_was_read_ahead_is_found_in_the_cache() {
    let mut fake = FakeBackend::new(Script::instant(), Harm::Thread);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let job = Job::new(JobId(1), Arc::default(), {
        let log = Arc::clone(&heard);
        move |event| log.lock().unwrap().push(event)
    });
    fake.load(&LoadRequest { design: Design::for_model("a.gguf"), keep_warm_bytes: 0 }, &job).unwrap();
    let say = |role, text: &str| Message { role, text: text.into() };
    let mut messages = vec![say(Role::User, "What is slow?"), say(Role::Assistant, "Reading memory, over and over again.")];
    let request = |messages: &[Message]| GenerateRequest {
        prompt: Prompt::Chat { messages: messages.to_vec() },
        sampler: Default::default(),
        max_tokens: 8,
        stop: Vec::new(),
        overflow: Overflow::Stop,
        json_schema: None,
        want_token_ids: false,
        alternatives: 0,
        only_by: None,
        text_every_ms: 0,
    };
    fake.prefill(&request(&messages), &job).unwrap();
    messages.push(say(Role::User, "And then?"));
    let stats = fake.generate(&request(&messages), &job).unwrap();
    assert!(stats.cached_tokens > stats.prompt_tokens / 2, "{} of {}", stats.cached_tokens, stats.prompt_tokens);
    let said = heard.lock().unwrap();
    let begins = |event: &&Event| !matches!(event, Event::Started { .. });
    let mut before_the_reply = said.iter().skip_while(begins).skip(1).take_while(begins);
    assert!(before_the_reply.all(|event| matches!(event, Event::Progress { .. })), "nothing is said");
}
