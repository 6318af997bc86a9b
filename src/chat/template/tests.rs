//! Templates in the styles of those in use, small and our own; what they give, and that Python's Jinja gives the same.

use super::*;
use serde_json::json;
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// 2024-07-26T05:04:09Z.
const NOW: Timestamp = Timestamp(1_721_970_249_000);

/// As Llama's: a system turn taken off the front, headers, a date that the template falls back to.
const HEADERS: &str = "{{- bos_token }}
{#- the date #}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now(\"%d %b %Y\") %}
    {%- else %}
        {%- set date_string = \"1 Jan 2024\" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = \"\" %}
{%- endif %}
{{- \"[system]\\n\\n\" + \"Today: \" + date_string + \"\\n\\n\" + system_message + eos_token }}
{%- for message in messages %}
    {{- '[' + message['role'] + ']\\n\\n'+ message['content'] | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '[assistant]\\n\\n' }}
{%- endif %}
";

/// As Qwen3's: a look from the end, a namespace, methods of strings, thoughts cut out of earlier answers.
const THOUGHTS: &str = "{%- set ns = namespace(open=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.open and message.role == \"user\" and not(message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.open = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == \"assistant\" %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and thought)) %}
            {{- '<a>' + message.role + '\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<a>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '</a>\\n' }}
    {%- else %}
        {{- '<a>' + message.role + '\\n' + content + '</a>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<a>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}";

/// As Mistral's and Gemma's: turns that must alternate, a system turn that is refused or joined to the first question.
const ALTERNATES: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception(\"Conversation roles must alternate user/assistant/user/assistant/...\") }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{ '[I] ' + (first if loop.first else '') + message['content'].strip() + ' [/I]' }}
    {% elif message['role'] == 'assistant' %}
 {{ message['content'] | trim }}{{ eos_token -}}
    {% else %}
        {{ raise_exception('Only user and assistant roles are supported!') }}
    {% endif %}
{% endfor %}
";

/// What else the language has: macros, loop controls, marks of what the model says, JSON, other line ends.
const REST: &str = "{%- macro name(role) -%}\r\n    {{ {'user': 'U', 'assistant': 'A'}.get(role, role|upper) }}\r\n{%- endmacro -%}\r
{% for message in messages %}\r
  {% if message.role == 'tool' %}{% continue %}{% endif %}\r
  {% if loop.index > 4 %}{% break %}{% endif %}\r
{{ name(message.role) }}{% if loop.previtem is defined %}<{{ loop.previtem.role }}{% endif %}: \r
{%- if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}{% else %}\r
{{ message | tojson }} {{ message.content | tojson(ensure_ascii=True) }} {{ [message.role, {'b': [], 'a': none, 'c': true}, 1, 1.5] | tojson(indent=2) }}\r
{%- endif %}\r
{{ message.content is iterable }} {{ tools is iterable }} {{ message is sequence }} {{ message.content.title() }} {{ none }} {{ [1, 'x', none] }} {{ message.nothing }}\r
{% for key, value in message.items() %}{{ key }}={{ value|length }};{% endfor %}\r
{% endfor %}\r
{# gone #}\r
{%- set found = messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list %}{{ found|length }}{{ found|first|default('none') }}{{ 'x'.join(found) }}\r
";

fn conversations() -> Vec<Vec<Message>> {
    let all = [
        vec![("user", "hi"), ("assistant", "hello")],
        vec![
            ("system", "  be brief \u{e9}\n"),
            ("user", " a \u{1f}"),
            ("assistant", "<think>\nwhy\n</think>\n\n b\n"),
            ("user", "c"),
            ("assistant", "<think>\nwhy not\n</think>\n\nd"),
        ],
        vec![
            ("user", "one"),
            ("user", "two \"x\" 'y' <b>& \\ \u{1f600} \u{7f} \u{1}\t"),
        ],
        vec![("assistant", ""), ("tool", "{}"), ("user", "<r>x</r>")],
        vec![("system", "alone")],
    ];
    let turn = |(role, content): &(&str, &str)| Message::new(*role, *content);
    all.iter()
        .map(|turns| turns.iter().map(turn).collect())
        .collect()
}

fn talk(turns: &[(&str, &str)]) -> Vec<Message> {
    let turn = |(role, content): &(&str, &str)| Message::new(*role, *content);
    turns.iter().map(turn).collect()
}

fn template(jinja: &str) -> Template {
    Template::new(jinja, Some("<s>"), Some("</s>")).unwrap()
}

#[test]
fn headers_and_the_date_that_is_told() {
    let template = template(HEADERS);
    let messages = talk(&[("system", " be brief\n"), ("user", "hi ")]);
    let timeless = template.render(&messages, false).unwrap();
    assert_eq!(
        timeless,
        "<s>[system]\n\nToday: 1 Jan 2024\n\nbe brief</s>[user]\n\nhi</s>"
    );
    assert_eq!(
        template.at(NOW).render(&messages, true).unwrap(),
        "<s>[system]\n\nToday: 26 Jul 2024\n\nbe brief</s>[user]\n\nhi</s>[assistant]\n\n"
    );
}

#[test]
fn what_a_template_refuses_is_a_sentence_of_its_own() {
    let template = template(ALTERNATES);
    let wrong = talk(&[("user", "a"), ("user", "b")]);
    let error = template.render(&wrong, false).unwrap_err();
    assert_eq!(
        error,
        "the chat template fails in line 6: Conversation roles must alternate user/assistant/user/assistant/..."
    );
    let broken = Template::new("{% for x in %}", None, None).unwrap_err();
    assert!(
        broken.starts_with("the chat template fails in line 1: "),
        "{broken}"
    );
    let unknown = Template::new("\n{{ strftime_now('%Y') }}", None, None).unwrap();
    let error = unknown.render(&wrong, false).unwrap_err();
    assert!(error.contains("strftime_now is unknown"), "{error}");
}

#[test]
fn a_hostile_template_ends() {
    let loops = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}{% endfor %}{% endfor %}{% endfor %}";
    let recursion = "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}";
    let itself = "{% include 'chat' %}";
    let repeated = "{{ 'a' * 10000000000 }}";
    for jinja in [loops, recursion, itself, repeated] {
        let template = Template::new(jinja, None, None).unwrap();
        let error = template.render(&talk(&[("user", "x")]), false);
        assert!(error.is_err(), "{jinja} ends well");
    }
    let stopped = Template::new(loops, None, None).unwrap();
    let error = stopped.render(&[], false).unwrap_err();
    assert!(error.contains("does not end"), "{error}");
    let deep = "{{ ".to_string() + &"(".repeat(100_000) + &")".repeat(100_000) + " }}";
    assert!(Template::new(&deep, None, None).is_err());
    let vast = "x".repeat(MOST_BYTES + 1);
    assert!(
        Template::new(&vast, None, None)
            .unwrap_err()
            .contains("at most")
    );
    let outside = Template::new("{% include '/etc/hostname' %}", None, None).unwrap();
    assert!(outside.render(&[], false).is_err());
}

#[test]
fn configurations_are_read_in_all_their_shapes() {
    let hi = talk(&[("user", "hi")]);
    let render = |config: serde_json::Value| {
        let template = Template::from_tokenizer_config(&config.to_string())?;
        template.render(&hi, false)
    };
    let jinja = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ unk_token }}";
    let plain = json!({"chat_template": jinja, "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "unk_token": null});
    assert_eq!(render(plain).as_deref(), Ok("<s>hi</s>"));
    let named = json!({"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": jinja}]});
    assert_eq!(render(named).as_deref(), Ok("hi"));
    let alone = json!({"chat_template": [{"name": "rag", "template": "y"}]});
    assert_eq!(render(alone).as_deref(), Ok("y"));
    let none = [
        json!({}),
        json!({"chat_template": null}),
        json!({"chat_template": [{"name": "a", "template": "x"}, {"name": "b", "template": "x"}]}),
    ];
    for config in none {
        assert!(render(config).is_err());
    }
    assert!(
        Template::from_tokenizer_config("{")
            .unwrap_err()
            .contains("no JSON")
    );
    let beside = Template::from_files(
        "{\"eos_token\": \"E\", \"chat_template\": \"old\"}",
        Some("new{{ eos_token }}"),
    );
    assert_eq!(beside.unwrap().render(&hi, false).as_deref(), Ok("newE"));
}

#[test]
fn special_tokens_are_known() {
    let config = json!({
        "chat_template": "x", "bos_token": "<s>", "eos_token": {"content": "<end>"}, "pad_token": "",
        "additional_special_tokens": ["<turn>", "<s>"],
        "added_tokens_decoder": {"5": {"content": "[I]", "special": true}, "6": {"content": "plain", "special": false}},
    });
    let template = Template::from_tokenizer_config(&config.to_string()).unwrap();
    assert_eq!(template.specials(), ["<end>", "<s>", "<turn>", "[I]"]);
}

/// What the `transformers` library does with a template, in the words of Jinja itself.
const PYTHON: &str = r#"
import datetime, json, sys
try:
    import jinja2
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as error:
    print(json.dumps({"missing": str(error)}))
    sys.exit()

class Mark(Extension):
    tags = {"generation"}
    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.If(nodes.Const(True), body, [], []).set_lineno(line)

def refuse(message):
    raise jinja2.exceptions.TemplateError(message)

def dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

asked = json.load(sys.stdin)
env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Mark, loopcontrols])
env.filters["tojson"] = dumps
env.globals["raise_exception"] = refuse
now = datetime.datetime.fromtimestamp(asked["now"], datetime.timezone.utc)
env.globals["strftime_now"] = now.strftime
texts = []
for jinja in asked["templates"]:
    template = env.from_string(jinja)
    for turns in asked["conversations"]:
        messages = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
        for prompt in (False, True):
            try:
                texts.append(template.render(messages=messages, tools=None, documents=None, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>"))
            except jinja2.exceptions.TemplateError:
                texts.append(None)
json.dump({"texts": texts}, sys.stdout)
"#;

/// What Python makes of the templates; or why there is none.
fn python(asked: &serde_json::Value) -> Result<serde_json::Value, String> {
    let mut child = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("python3: {error}"))?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    match said["missing"].as_str() {
        Some(missing) => Err(missing.into()),
        None => Ok(said["texts"].clone()),
    }
}

#[test]
fn pythons_jinja_gives_the_same_bytes() {
    let templates = [HEADERS, THOUGHTS, ALTERNATES, REST];
    let asked =
        json!({ "now": NOW.0 / 1000, "templates": templates, "conversations": conversations() });
    let expected = match python(&asked) {
        Ok(expected) => expected,
        Err(reason) => {
            eprintln!("skipped pythons_jinja_gives_the_same_bytes: {reason}");
            return;
        }
    };
    let mut expected = expected.as_array().unwrap().iter();
    let mut rendered = 0;
    for jinja in templates {
        let template = template(jinja).at(NOW);
        for messages in conversations() {
            for add_generation_prompt in [false, true] {
                let text = template.render(&messages, add_generation_prompt).ok();
                rendered += usize::from(text.is_some());
                assert_eq!(
                    text.as_deref(),
                    expected.next().unwrap().as_str(),
                    "{jinja}\n{messages:?}"
                );
            }
        }
    }
    assert!(
        expected.next().is_none() && rendered > 25,
        "{rendered} texts"
    );
}
