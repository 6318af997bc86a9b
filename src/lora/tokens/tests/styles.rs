//! Templates in the styles of those in use, and what is learned of their chats.

use super::*;

pub const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Qwen2.5's: a system turn of its own where there is none.
const QWEN25: &str = "{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- else %}
    {{- '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) or message.role == 'assistant' %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}";

/// Qwen3's: thoughts are dropped from all answers but those behind the last question, and empty ones written there.
const QWEN3: &str = "{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role != 'assistant' %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- else %}
        {%- set thoughts = '' %}
        {%- if '</think>' in content %}
            {%- set thoughts = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {{- '<|im_start|>assistant\n<think>\n' + thoughts.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}";

/// Llama 2's: the system's turn within the user's, no word for being asked, answers with space around them.
const LLAMA2: &str = "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}\
{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for m in rest %}\
{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}\
{% if loop.index0 == 0 and system != false %}{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m['content'] %}\
{% else %}{% set content = m['content'] %}{% endif %}\
{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}\
{% elif m['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

/// Mistral's: no system's turn, one begin for all.
const MISTRAL: &str = "{{ bos_token }}{% for m in messages %}\
{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate!') }}{% endif %}\
{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}\
{% elif m['role'] == 'assistant' %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}";

/// Llama 3's: headers, what is said without the white space around it.
pub const LLAMA3: &str = "{% for m in messages %}{% set content = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' \
+ m['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}\
{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

pub const LLAMA3_TOKENS: &[&str] = &[
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
];

/// Zephyr's: a line's end behind each end of a turn, marks that are no special tokens.
const ZEPHYR: &str = "{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}";

/// A template with marks of what the model says.
const MARKED: &str = "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' }}{% generation %}\
{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}\
{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const TWICE: &[(&str, &str)] = &[
    ("user", "two?"),
    ("assistant", "4"),
    ("user", "4"),
    ("assistant", " yes \n"),
];

fn sentence_model(template: &str) -> Model {
    Model::new(Some(template), &["<s>", "</s>"], Some("<s>"), "</s>")
}

fn sentence(template: &str) -> Tokens {
    sentence_model(template).open()
}

fn mask(tokens: &Tokens, said: &[(&str, &str)]) -> String {
    shown(tokens, &tokens.chat(&turns(said), 0).unwrap())
}

fn refused(tokens: &Tokens, said: &[(&str, &str)]) -> String {
    tokens.chat(&turns(said), 0).unwrap_err()
}

fn block(template: &str) -> Tokens {
    Model::new(Some(template), &[], None, "<|im_end|>").open()
}

#[test]
fn chatml() {
    let expected = "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n«4<|im_end|>»\n\
        <|im_start|>user\n4<|im_end|>\n<|im_start|>assistant\n« yes \n<|im_end|>»\n";
    assert_eq!(mask(&block(CHATML), TWICE), expected);
    assert_eq!(mask(&block(MARKED), TWICE), expected);
    let last = block(CHATML).chat(&turns(TWICE), 2).unwrap();
    assert_eq!(
        shown(&block(CHATML), &last),
        expected.replacen("«4<|im_end|>»", "4<|im_end|>", 1)
    );
}

#[test]
fn qwen25_has_a_system_turn_of_its_own() {
    let said = &[
        ("user", "You are helpful."),
        ("assistant", "You are helpful."),
    ];
    assert_eq!(
        mask(&block(QWEN25), said),
        "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nYou are helpful.<|im_end|>\n\
         <|im_start|>assistant\n«You are helpful.<|im_end|>»\n"
    );
}

#[test]
fn qwen3_thinks_before_its_last_answer() {
    let tokens = block(QWEN3);
    // Asked with the template's own prompt, the model has to write even empty thoughts itself.
    assert_eq!(
        mask(&tokens, TWICE),
        "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n«4<|im_end|>»\n\
         <|im_start|>user\n4<|im_end|>\n<|im_start|>assistant\n«<think>\n\n</think>\n\n yes \n<|im_end|>»\n"
    );
    let thought: &[(&str, &str)] = &[
        ("user", "two?"),
        ("assistant", "<think>\none and one\n</think>\n\nyes"),
    ];
    assert_eq!(
        mask(&tokens, thought),
        "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n«<think>\none and one\n</think>\n\nyes<|im_end|>»\n"
    );
    let error = refused(
        &tokens,
        &[thought, &[("user", "sure?"), ("assistant", "yes")]].concat(),
    );
    assert!(
        error.contains("does not write turn 2 as it is said"),
        "{error}"
    );
}

#[test]
fn what_stands_between_asking_and_answer_is_the_models_but_no_header() {
    // Asked without the end of the line, the model has to say it.
    let short = CHATML.replace("assistant\n' }}", "assistant' }}");
    let expected = "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant«\ny<|im_end|>»\n";
    let said = &[("user", "x"), ("assistant", "y")];
    assert_eq!(mask(&block(&short), said), expected);
    // A template that never asks.
    let (mute, _) = CHATML.split_once("{% if add").unwrap();
    assert_eq!(
        mask(&block(mute), said),
        expected.replace("assistant«\n", "assistant\n«")
    );
    // One that asks with the beginning of the thoughts that an answer must have.
    let thinking = QWEN3.replace(
        "assistant\n' }}\n{%- endif",
        "assistant\n<think>\n' }}\n{%- endif",
    );
    assert_ne!(thinking, QWEN3);
    let said = &[("user", "x"), ("assistant", "<think>\nz\n</think>\n\ny")];
    assert_eq!(
        mask(&block(&thinking), said),
        "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n<think>\n«z\n</think>\n\ny<|im_end|>»\n"
    );
}

#[test]
fn llama2_writes_the_system_into_the_question() {
    let tokens = sentence(LLAMA2);
    let said = [&[("system", "be brief")], TWICE].concat();
    assert_eq!(
        mask(&tokens, &said),
        "<s>[INST] <<SYS>>\nbe brief\n<</SYS>>\n\ntwo? [/INST]« 4 </s>»<s>[INST] 4 [/INST]« yes </s>»"
    );
    let error = refused(&tokens, &[("user", "a"), ("user", "b"), ("assistant", "c")]);
    assert!(error.contains("Roles must alternate"), "{error}");
}

#[test]
fn mistral_has_no_system() {
    let tokens = sentence(MISTRAL);
    assert_eq!(
        mask(&tokens, TWICE),
        "<s>[INST] two? [/INST]«4</s>»[INST] 4 [/INST]« yes \n</s>»"
    );
    let error = refused(
        &tokens,
        &[("system", "x"), ("user", "y"), ("assistant", "z")],
    );
    assert!(error.contains("must alternate"), "{error}");
}

#[test]
fn llama3_trims_what_is_said() {
    let model = Model::new(
        Some(LLAMA3),
        LLAMA3_TOKENS,
        Some("<|begin_of_text|>"),
        "<|endoftext|>",
    );
    let head = |role| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let (user, assistant) = (head("user"), head("assistant"));
    let expected = format!(
        "<|begin_of_text|>{user}two?<|eot_id|>{assistant}«4<|eot_id|>»{user}4<|eot_id|>{assistant}«yes<|eot_id|>»"
    );
    assert_eq!(mask(&model.open(), TWICE), expected);
}

#[test]
fn a_post_processor_that_trims_offsets_moves_no_mask() {
    let model = Model::chatml();
    let expected = mask(&model.open(), TWICE);
    model.edit("tokenizer.json", |json| {
        json["post_processor"] = json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false });
    });
    assert_eq!(mask(&model.open(), TWICE), expected);
}

#[test]
fn zephyrs_marks_are_text() {
    assert_eq!(
        mask(&sentence(ZEPHYR), TWICE),
        "<|user|>\ntwo?</s>\n<|assistant|>\n«4</s>»\n<|user|>\n4</s>\n<|assistant|>\n« yes \n</s>»\n"
    );
}

#[test]
fn an_answer_without_an_end_is_refused() {
    let plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}";
    let said = &[("user", "x"), ("assistant", "y"), ("user", "z")];
    let error = refused(&block(plain), said);
    assert_eq!(error, "turn 2: no end-of-turn token follows the answer");
    // A mark that the tokenizer takes for text ends nothing.
    let foreign = CHATML.replace("im_", "turn_");
    assert!(refused(&block(&foreign), said).contains("no end-of-turn token"));
}

#[test]
fn what_a_template_does_not_say_is_refused() {
    let deaf =
        "{% for m in messages if m.role == 'user' %}{{ m.content + '<|im_end|>' }}{% endfor %}";
    assert!(refused(&block(deaf), TWICE).contains("does not write turn 2 once"));
    let echo = "{% for m in messages %}{{ m.content + m.content + '<|im_end|>' }}{% endfor %}";
    assert!(refused(&block(echo), TWICE).contains("does not write turn 2 once"));
    let upper =
        "{% for m in messages %}{{ m.content | replace('4', '5') + '<|im_end|>' }}{% endfor %}";
    assert!(refused(&block(upper), TWICE).contains("does not write turn 2 as it is said"));
    assert!(
        refused(&block(CHATML), &[("user", "x"), ("assistant", " \n")])
            .contains("turn 2 is an empty answer")
    );
    let none = Model::new(None, &[], None, "<|im_end|>").open();
    assert!(
        refused(&none, TWICE).contains("no chat_template"),
        "{}",
        none.no_template()
    );
}

#[test]
fn a_conversation_is_asked_as_it_was_learned() {
    let tokens = block(CHATML);
    let whole = tokens.chat(&turns(TWICE), 0).unwrap();
    let asked = tokens.asked(&turns(&TWICE[..3])).unwrap();
    assert!(whole.ids.starts_with(&asked));
    assert!(whole.learned[asked.len()]);
}

/// A tokenizer in the style of Llama 2's: spaces are letters, one is put before each text, bytes stand for what is unknown.
fn spaced() -> Tokens {
    let model = sentence_model(LLAMA2);
    let mut vocab = serde_json::Map::new();
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let letters = "▁abcdefghijklmnopqrstuvwxyzINST[]/<>?4\n"
        .chars()
        .map(String::from);
    let specials = ["<unk>", "<s>", "</s>"].map(String::from);
    for name in specials
        .into_iter()
        .chain(bytes)
        .chain(letters)
        .chain(["▁y".into(), "▁4".into()])
    {
        vocab.insert(name, vocab.len().into());
    }
    let special = |id: u32, content: &str| json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true });
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ] },
        "pre_tokenizer": null, "post_processor": null, "decoder": null, "truncation": null, "padding": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
            "merges": [["▁", "y"], ["▁", "4"]],
        },
    });
    model.write("tokenizer.json", &tokenizer.to_string());
    model.open()
}

#[test]
fn spaces_that_are_letters_belong_to_the_word_behind_them() {
    let tokens = spaced();
    let example = tokens
        .chat(
            &turns(&[
                ("user", "two?"),
                ("assistant", "é"),
                ("user", "4"),
                ("assistant", "yes"),
            ]),
            0,
        )
        .unwrap();
    let shown: String = example
        .ids
        .iter()
        .zip(&example.learned)
        .map(|(id, learned)| {
            let token = tokens.tokenizer.id_to_token(*id).unwrap();
            if *learned {
                format!("«{token}»")
            } else {
                token
            }
        })
        .collect();
    let shown = shown.replace("»«", "|");
    assert_eq!(
        shown,
        "<s>▁[INST]▁two?▁[/INST]«▁|<0xC3>|<0xA9>|▁|</s>»<s>▁[INST]▁4▁[/INST]«▁y|e|s|▁|</s>»"
    );
}
