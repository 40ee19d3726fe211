//! Writes a program in C that passes to every function of the header what must not be passed.
//!
//! NULL for every pointer; numbers that ended, that belong to another type and that were never given
//! out for what is a number in the guise of a pointer; and counts that no memory has. No call may end
//! the process or take such a thing for right, and what is live has to be live afterwards. What can be
//! passed is derived from the types of the header: a new type has to be added here.

use std::fmt::Write;

use crate::declarations::{Function, Parameter};

/// Types whose values are numbers that the library looks up.
const NUMBERED: [&str; 4] = ["swm_options", "swm_factory", "swm_handle", "swm_subscription"];
/// Types whose values are memory: nothing but NULL can be told from a good one.
const MEMORY: [&str; 4] = ["swm_reply", "swm_event", "swm_delivery", "char"];

/// What the program begins with.
const HEAD: &str = r#"#include "check.h"

#include <unistd.h>

/* What ended, of each type, and what did not. */
static swm_options *live_swm_options, *dead_swm_options;
static swm_factory *live_swm_factory, *dead_swm_factory;
static swm_handle *live_swm_handle, *dead_swm_handle;
static swm_subscription *live_swm_subscription, *dead_swm_subscription;
static swm_reply *live_swm_reply;
static swm_event *live_swm_event;
static swm_delivery *live_swm_delivery;
static const char *url;
static swm_error error;
static long calls;

static const char *const words[] = {"ECHO", "garbage"};
static const size_t lens[] = {4, 7};
static const char ping[] = "*1\r\n$4\r\nPING\r\n";
static char buffer[64];

static void supply(void *user_data, swm_credentials *out)
{
    (void)user_data;
    /* Without a password of its own this user takes any. */
    out->username = "default";
    out->password = "any";
}

static void forget(void *user_data)
{
    (void)user_data;
}

/* What results hold until they are written. */
#define UNTOUCHED 0x5a

#define WRONG 9

static void *wrong_one(const void *live, const void *dead, size_t which)
{
    static int local;
    const void *const all[] = {live_swm_options, live_swm_factory, live_swm_handle,
                               live_swm_subscription};
    if (which < 4)
        return all[which] == live ? NULL : (void *)(uintptr_t)all[which];
    switch (which) {
    case 4:
        return (void *)(uintptr_t)dead;
    case 5:
        return (void *)(uintptr_t)1;
    case 6:
        return (void *)(uintptr_t)0xdeadbeef;
    case 7:
        return (void *)UINTPTR_MAX;
    default:
        return &local;
    }
}

/* What a call that was given something wrong says: this, or with 1 anything but success. */
static void judge(const char *call, swm_status status, int expected, bool told)
{
    calls++;
    if (status == SWM_E_PANIC || status == SWM_E_INTERNAL)
        check_failed(call, 0, "a fault: %d", status);
    if (expected == 1 ? status == SWM_OK : expected != 2 && (int)status != expected)
        check_failed(call, 0, "%d and not %d: %s", status, expected, told ? error.message : "");
    if (told && status != SWM_OK && (error.status != status || !error.message[0] || !error.kind[0]))
        check_failed(call, 0, "%d without a reason", status);
}

/* What a call that was given nothing wrong says is about the servers. */
static void passes(const char *call, swm_status status)
{
    static const swm_status blame[] = {SWM_E_NULL, SWM_E_ARGUMENT, SWM_E_DEAD, SWM_E_BUSY,
                                       SWM_E_FORKED, SWM_E_PANIC, SWM_E_INTERNAL};
    size_t at;
    calls++;
    for (at = 0; at < sizeof(blame) / sizeof(blame[0]); at++)
        if (status == blame[at])
            check_failed(call, 0, "nothing was wrong: %d %s", status, error.message);
}

static void is_untouched(const char *call, const void *result, size_t size)
{
    const unsigned char *bytes = result;
    while (size-- > 0)
        if (*bytes++ != UNTOUCHED)
            check_failed(call, 0, "it failed and wrote a result");
}

/* Takes the replies that are still to come, of a stream or of a pipeline. */
static void settle(void)
{
    swm_reply *reply = NULL;
    size_t received;
    while (swm_handle_receive(live_swm_handle, buffer, sizeof(buffer), &received, NULL) == SWM_OK)
        ;
    while (swm_handle_get_reply(live_swm_handle, &reply, NULL) == SWM_OK)
        swm_reply_free(reply);
}
"#;

/// And what it ends with, before the calls of what was generated.
const MAIN: &str = r#"
static void begin(void)
{
    const char *channel = "garbage:channel";
    int fd = -1;
    OK(swm_options_new(url, &live_swm_options, &err));
    OK(swm_options_new(url, &dead_swm_options, &err));
    live_swm_factory = open_with(url, "max_size=4&leak_after=100ms");
    /* A handle that is out for longer makes an event. */
    OK(swm_factory_event_fd(live_swm_factory, &fd, &err));
    dead_swm_factory = open_factory(url);
    live_swm_handle = get(live_swm_factory);
    dead_swm_handle = get(dead_swm_factory);
    OK(swm_factory_subscribe(live_swm_factory, 1, &channel, NULL, &live_swm_subscription, &err));
    OK(swm_factory_subscribe(dead_swm_factory, 1, &channel, NULL, &dead_swm_subscription, &err));
    live_swm_reply = command(live_swm_handle, "ECHO live");
    OK(swm_factory_next_event(live_swm_factory, patience_ms(), &live_swm_event, &err));
    request("publish garbage:channel payload");
    OK(swm_subscription_next(live_swm_subscription, patience_ms(), &live_swm_delivery, &err));
    swm_options_free(dead_swm_options);
    swm_subscription_close(dead_swm_subscription);
    swm_handle_release(dead_swm_handle);
    swm_factory_close(dead_swm_factory);
}

/* What is live was not touched by what was not meant for it. */
static void end(void)
{
    swm_delivery *delivery = NULL;
    settle();
    run(live_swm_handle, "PING");
    NUMBER(generation(live_swm_factory), 1);
    NUMBER(stats(live_swm_factory).in_use, 1);
    NUMBER(stats(live_swm_factory).connections_broken, 0);
    OK(swm_options_set(live_swm_options, "db", "0", &err));
    request("publish garbage:channel payload");
    OK(swm_subscription_next(live_swm_subscription, patience_ms(), &delivery, &err));
    swm_delivery_free(delivery);
    CHECK(says(live_swm_reply, "live"));
    swm_reply_free(live_swm_reply);
    swm_event_free(live_swm_event);
    swm_delivery_free(live_swm_delivery);
    swm_options_free(live_swm_options);
    swm_subscription_close(live_swm_subscription);
    swm_handle_release(live_swm_handle);
    swm_factory_close(live_swm_factory);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    limit_time();
    url = argv[2];
    begin();
"#;

/// What a parameter is for, by its type and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role<'t> {
    /// A number in the guise of a pointer to this.
    Numbered(&'t str),
    /// Memory of this type, to be looked at or freed.
    Memory(&'t str),
    /// Where a result of this type goes.
    Result(&'t str),
    /// What may be NULL, and what else it may be.
    MayBeNull(&'static str),
    /// What must not be NULL, and what it may be.
    Needed(&'static str),
    /// A count, which has to be that of something, and some that cannot be.
    Count(&'static str, &'static [&'static str]),
    /// A time to wait for; long ones only where there is nothing to wait for.
    Time,
    /// A number that may be anything, and one that is meant.
    Number(&'static str, &'static [&'static str]),
}

fn role<'t>(function: &Function, parameter: &'t Parameter) -> Role<'t> {
    let kind = parameter.kind.as_str();
    let returns_status = function.returns == "swm_status";
    if let Some(of) = kind.strip_suffix("**") {
        return Role::Result(kind[..of.len() + 1].trim());
    }
    let plain = kind.strip_prefix("const ").unwrap_or(kind);
    let pointee = plain.strip_suffix('*').map(str::trim);
    if let Some(pointee) = pointee {
        if NUMBERED.contains(&pointee) {
            return Role::Numbered(pointee);
        }
        let text = kind == "char *" && parameter.name == "string";
        if MEMORY[..3].contains(&pointee) || text {
            return Role::Memory(pointee);
        }
    }
    match (kind, parameter.name.as_str()) {
        ("swm_error *", "err") => Role::MayBeNull("&error"),
        ("const char *", "url") if function.name == "swm_options_new" => Role::MayBeNull("url"),
        ("const char *", "url") => Role::Needed("url"),
        ("const char *", "name") => Role::Needed("\"db\""),
        ("const char *", "value") => Role::Needed("\"0\""),
        ("const char *", "request" | "data") => Role::Needed("ping"),
        ("char *", "buffer") => Role::Needed("buffer"),
        ("const char *const *", _) => Role::Needed("words"),
        ("const size_t *", _) => Role::MayBeNull("lens"),
        ("size_t *", "len") if !returns_status => Role::MayBeNull("&length"),
        ("size_t *" | "uint64_t *" | "int *", _) if returns_status => {
            Role::Result(pointee.expect("it is a pointer"))
        }
        ("swm_credentials_callback", _) => Role::MayBeNull("supply"),
        ("void *", "user_data") => Role::MayBeNull("buffer"),
        ("swm_destructor", _) => Role::MayBeNull("forget"),
        ("swm_stats *", _) => Role::Needed("&statistics"),
        ("size_t", "argc" | "count") => {
            Role::Count("2", &["0", "SIZE_MAX", "SIZE_MAX / 2 + 1", "(size_t)1 << 31"])
        }
        ("size_t", "request_len") => {
            Role::Count("sizeof(ping) - 1", &["0", "SIZE_MAX", "SIZE_MAX / 2 + 1"])
        }
        // Nothing to send is nothing wrong.
        ("size_t", "len") => Role::Count("sizeof(ping) - 1", &["SIZE_MAX", "SIZE_MAX / 2 + 1"]),
        ("size_t", "capacity") => {
            Role::Count("sizeof(buffer)", &["0", "SIZE_MAX", "SIZE_MAX / 2 + 1"])
        }
        ("size_t", "index") => Role::Number("0", &["1", "SIZE_MAX", "SIZE_MAX / 2 + 1"]),
        ("uint32_t", "timeout_ms") => Role::Time,
        ("uint64_t", "after") => Role::Number("0", &["1", "UINT64_MAX", "UINT64_MAX / 2 + 1"]),
        ("int32_t", "from") => Role::Number("0", &["-1", "4", "INT32_MAX", "INT32_MIN"]),
        (kind, name) => panic!(
            "{}: nothing is known to pass for `{name}`, a {kind}; say it in tests/capi/garbage.rs",
            function.name
        ),
    }
}

/// How a result is given back that a call brought after all.
fn end_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "swm_options *" => "swm_options_free",
        "swm_factory *" => "swm_factory_close",
        "swm_handle *" => "swm_handle_release",
        "swm_subscription *" => "swm_subscription_close",
        "swm_reply *" => "swm_reply_free",
        "swm_event *" => "swm_event_free",
        "swm_delivery *" => "swm_delivery_free",
        "char *" => "swm_string_free",
        // Memory of what it was asked of, and numbers.
        "const char *" | "size_t" | "uint64_t" | "int" => return None,
        other => panic!("what is a result of type {other}? Say it in tests/capi/garbage.rs"),
    })
}

/// The program.
pub fn program(functions: &[Function]) -> String {
    let mut code = HEAD.to_owned();
    let mut calls = String::new();
    for function in functions {
        let Function { name, .. } = function;
        let _ = write!(code, "\nstatic void wrongly_{name}(void)\n{{\n{}}}\n", body(function));
        let _ = writeln!(calls, "    wrongly_{name}();");
    }
    let least = 2 * functions.len();
    format!("{code}{MAIN}{calls}    CHECK(calls > {least});\n    end();\n    return 0;\n}}\n")
}

/// The calls of one function.
fn body(function: &Function) -> String {
    let roles: Vec<Role> =
        function.parameters.iter().map(|parameter| role(function, parameter)).collect();
    let good: Vec<String> = roles.iter().enumerate().map(|(at, role)| good(*role, at)).collect();
    let with = |at: usize, value: &str| {
        let mut arguments = good.clone();
        value.clone_into(&mut arguments[at]);
        arguments
    };
    let call = |arguments: &[String], expected: &str| call(function, &roles, arguments, expected);
    // What ends something is not called with what is live.
    let ends = function.returns == "void";
    let mut body = String::new();
    if !ends {
        body += &call(&good, "passes");
    }
    for (at, role) in roles.iter().enumerate() {
        match role {
            Role::Numbered(kind) => {
                let wrong = format!("wrong_one(live_{kind}, dead_{kind}, which)");
                let expected = "wrong ? SWM_E_DEAD : SWM_E_NULL";
                let each = "for (which = 0; which < WRONG; which++)";
                let set = format!("        void *wrong = {wrong};\n");
                // Alone, and with everything else wrong, too.
                let worst = worst(&roles, at, "wrong");
                let (one, all) = (call(&with(at, "wrong"), expected), call(&worst, "1"));
                let _ = write!(
                    body,
                    "    {{\n        size_t which;\n        {each} {{\n{set}{one}{all}        }}\n    }}\n"
                );
            }
            Role::Memory(_) => body += &call(&with(at, "NULL"), "SWM_E_NULL"),
            Role::Needed(_) | Role::Result(_) => body += &call(&with(at, "NULL"), "SWM_E_NULL"),
            Role::MayBeNull(_) if !ends => body += &call(&with(at, "NULL"), "2"),
            Role::Count(_, wrong) => {
                for count in *wrong {
                    body += &call(&with(at, count), "1");
                }
            }
            Role::Number(_, others) => {
                for other in *others {
                    body += &call(&with(at, other), "2");
                }
            }
            Role::MayBeNull(_) | Role::Time => {}
        }
    }
    if !roles.is_empty() && !ends {
        body += &call(&worst(&roles, usize::MAX, ""), if needs(&roles) { "1" } else { "2" });
    }
    body
}

/// Whether a call that is given nothing at all cannot succeed.
fn needs(roles: &[Role]) -> bool {
    roles.iter().any(|role| matches!(role, Role::Numbered(_) | Role::Needed(_) | Role::Result(_)))
}

/// Everything NULL or as large as can be, but for one.
fn worst(roles: &[Role], but: usize, value: &str) -> Vec<String> {
    let worst = roles.iter().enumerate().map(|(at, role)| match role {
        _ if at == but => value,
        Role::Count(..) => "SIZE_MAX",
        Role::Time => "UINT32_MAX",
        Role::Number(_, others) => others[0],
        _ => "NULL",
    });
    worst.map(str::to_owned).collect()
}

fn good(role: Role, at: usize) -> String {
    match role {
        Role::Numbered(kind) => format!("live_{kind}"),
        Role::Memory("char") => "NULL".to_owned(),
        Role::Memory(kind) => format!("live_{kind}"),
        Role::Result(_) => format!("&result_{at}"),
        Role::MayBeNull(good) | Role::Needed(good) | Role::Count(good, _) => good.to_owned(),
        Role::Time => "0".to_owned(),
        Role::Number(good, _) => good.to_owned(),
    }
}

/// One call, and what has to hold of what it says.
fn call(function: &Function, roles: &[Role], arguments: &[String], expected: &str) -> String {
    let Function { name, returns, .. } = function;
    let shown = format!("{name}({})", arguments.join(", ")).replace('"', "'");
    let list = arguments.join(", ");
    let mut code = String::from("    {\n");
    let mut line = |text: String| {
        let _ = writeln!(code, "        {text}");
    };
    let results = || {
        let used = roles.iter().enumerate().filter(|(at, _)| arguments[*at] != "NULL");
        used.filter_map(|(at, role)| match role {
            Role::Result(kind) => Some((at, *kind)),
            _ => None,
        })
    };
    if returns != "swm_status" {
        if arguments.iter().any(|argument| argument == "&length") {
            line("size_t length = 0;".to_owned());
        }
        line("calls++;".to_owned());
        line(match returns.as_str() {
            "void" => format!("{name}({list});"),
            // A duplicate, and the caller's to close.
            "int" if expected == "passes" && name.ends_with("_hiredis_fd") => {
                format!("close({name}({list}));")
            }
            _ if expected == "passes" || expected == "2" => format!("(void){name}({list});"),
            // What says a descriptor says -1 for none.
            "int" if name.ends_with("_fd") => format!("NUMBER({name}({list}), -1);"),
            _ => format!("CHECK(!{name}({list}));"),
        });
        code.push_str("    }\n");
        return code;
    }
    line("swm_status status;".to_owned());
    for (at, kind) in results() {
        line(format!("{kind} result_{at};"));
    }
    if arguments.iter().any(|argument| argument == "&statistics") {
        line("swm_stats statistics;".to_owned());
        line("statistics.struct_size = sizeof(statistics);".to_owned());
    }
    for (at, _) in results() {
        line(format!("memset(&result_{at}, UNTOUCHED, sizeof(result_{at}));"));
    }
    line("memset(&error, 0, sizeof(error));".to_owned());
    line(format!("status = {name}({list});"));
    let told = arguments.iter().any(|argument| argument == "&error");
    match expected {
        "passes" => line(format!("passes(\"{shown}\", status);")),
        _ => line(format!("judge(\"{shown}\", status, {expected}, {told});")),
    }
    for (at, kind) in results() {
        line(match end_of(kind) {
            Some(end) => format!("if (status == SWM_OK)\n            {end}(result_{at});"),
            None => "(void)status;".to_owned(),
        });
        line("if (status != SWM_OK)".to_owned());
        line(format!("    is_untouched(\"{shown}\", &result_{at}, sizeof(result_{at}));"));
    }
    line("settle();".to_owned());
    code.push_str("    }\n");
    code
}
