/* A plugin that does what `sdk/parity/scenarios.toml` says: the first argument is the scenario, the rest are its own. */

#define PORTCULLIS_PLUGIN
#include "portcullis.h"

typedef struct portcullis_result result;

/* Text or failure, whatever a call came to. */
static result told(enum portcullis_error error, const char *text)
{
    return error ? portcullis_fail(portcullis_error_text(error)) : portcullis_ok(text);
}

/* The kind of an error that has to be there. */
static result kind(enum portcullis_error error)
{
    return error ? portcullis_ok(portcullis_error_text(error)) : portcullis_fail("it was done");
}

/* What a command that has to succeed wrote. */
static result read(struct portcullis_command command)
{
    struct portcullis_output output = portcullis_run(command);
    return output.status == 0 ? portcullis_ok(portcullis_chomp(output.out)) : portcullis_fail(portcullis_trouble(&output));
}

static result output(struct portcullis_args args)
{
    return read(PORTCULLIS_COMMAND("printf", "one\\ntwo\\n"));
}

static result arguments(struct portcullis_args args)
{
    return read(PORTCULLIS_COMMAND("printf", "[%s]", "a b", "$x", "", "*"));
}

static result bytes(struct portcullis_args args)
{
    struct portcullis_output printf = portcullis_run(PORTCULLIS_COMMAND("printf", "\\377\\000"));
    char *text = "";
    for (size_t at = 0; at < printf.out.length; at++) {
        unsigned byte = (unsigned char)printf.out.data[at];
        text = portcullis_format("%s%x%x", text, byte / 16, byte % 16);
    }
    return told(printf.error, text);
}

static result status(struct portcullis_args args)
{
    struct portcullis_output output = portcullis_run(PORTCULLIS_COMMAND("false"));
    return told(output.error, portcullis_format("status %d", output.status));
}

static result must_succeed(struct portcullis_args args)
{
    struct portcullis_output cat = portcullis_run(PORTCULLIS_COMMAND("cat", "missing"));
    const char *trouble = portcullis_trouble(&cat);
    if (!trouble || cat.error)
        return portcullis_fail(trouble ? trouble : "it was a success");
    int line = 0;
    while (trouble[line] && trouble[line] != '\n')
        line++;
    return portcullis_ok(portcullis_format("failed %d %.*s", cat.status, line, trouble));
}

static result signal(struct portcullis_args args)
{
    struct portcullis_output output = portcullis_run(PORTCULLIS_COMMAND("sh", "-c", "kill -9 $$"));
    return told(output.error, portcullis_format("signal %d", output.signal));
}

static result both_outputs(struct portcullis_args args)
{
    struct portcullis_output output = portcullis_run(PORTCULLIS_COMMAND("sh", "-c", "echo out; echo err >&2"));
    return told(output.error, portcullis_format("%s|%s", portcullis_chomp(output.out), portcullis_chomp(output.err)));
}

static result environment(struct portcullis_args args)
{
    struct portcullis_command printenv = PORTCULLIS_COMMAND("printenv", "GREETING");
    printenv.env = (const char *const[]){"GREETING=hello", NULL};
    return read(printenv);
}

static result directory(struct portcullis_args args)
{
    struct portcullis_command pwd = PORTCULLIS_COMMAND("pwd");
    pwd.cwd = "sub";
    result whole = read(pwd);
    const char *last = whole.text.data;
    for (size_t at = 0; at < whole.text.length; at++)
        if (whole.text.data[at] == '/')
            last = whole.text.data + at + 1;
    return whole.ok ? portcullis_ok(last) : whole;
}

static result input(struct portcullis_args args)
{
    struct portcullis_command cat = PORTCULLIS_COMMAND("cat");
    cat.input = portcullis_text("héllo");
    return read(cat);
}

/* In one piece, and through a pipe. */
static result large_input(struct portcullis_args args)
{
    struct portcullis_command wc = PORTCULLIS_COMMAND("wc", "-c");
    wc.input.length = 1 << 20;
    wc.input.data = portcullis_allocate(wc.input.length);
    for (size_t at = 0; at < wc.input.length; at++)
        wc.input.data[at] = 'x';
    result whole = read(wc);
    struct portcullis_child child;
    enum portcullis_error error = portcullis_start(PORTCULLIS_COMMAND("wc", "-c"), &child);
    if (error || !whole.ok)
        return whole.ok ? told(error, "") : whole;
    if (!portcullis_write(&child, wc.input.data, wc.input.length))
        return portcullis_fail("nobody read it");
    struct portcullis_output piped = portcullis_wait(&child);
    if (!portcullis_same(portcullis_chomp(piped.out), whole.text.data))
        return portcullis_fail(portcullis_format("%s through a pipe", piped.out.data));
    return whole;
}

static result deadline(struct portcullis_args args)
{
    struct portcullis_command sh = PORTCULLIS_COMMAND("sh", "-c", "echo begun; exec sleep 30");
    sh.timeout_ms = 2000;
    struct portcullis_output output = portcullis_run(sh);
    if (!output.timed_out)
        return portcullis_fail(portcullis_format("status %d", output.status));
    return portcullis_ok(portcullis_format("timed out %s", portcullis_chomp(output.out)));
}

static result denied(struct portcullis_args args)
{
    return kind(portcullis_run(PORTCULLIS_COMMAND("id")).error);
}

static result not_found(struct portcullis_args args)
{
    return kind(portcullis_run(PORTCULLIS_COMMAND("no-such-program")).error);
}

static result lines(struct portcullis_args args)
{
    struct portcullis_child child;
    struct portcullis_bytes line;
    char *text = NULL;
    enum portcullis_error error = portcullis_start(PORTCULLIS_COMMAND("sh", "-c", "echo one; sleep 0.1; echo two"), &child);
    if (error)
        return told(error, "");
    while (portcullis_read_line(&child, PORTCULLIS_OUT, &line))
        text = portcullis_format("%s%s%s", text ? text : "", text ? "," : "", line.data);
    return told(portcullis_wait(&child).error, text ? text : "no line");
}

static result conversation(struct portcullis_args args)
{
    static const char *const words[] = {"ping\n", "pong\n"};
    struct portcullis_child child;
    char *said = "";
    enum portcullis_error error = portcullis_start(PORTCULLIS_COMMAND("cat"), &child);
    if (error)
        return told(error, "");
    for (int at = 0; at < 2; at++) {
        struct portcullis_bytes line;
        if (!portcullis_write(&child, words[at], 5) || !portcullis_read_line(&child, PORTCULLIS_OUT, &line))
            return portcullis_fail("it does not answer");
        said = portcullis_format("%s%s ", said, line.data);
    }
    struct portcullis_output output = portcullis_wait(&child);
    return told(output.error, portcullis_format("%s%d", said, output.status));
}

static result kill(struct portcullis_args args)
{
    struct portcullis_child child;
    enum portcullis_error error = portcullis_start(PORTCULLIS_COMMAND("sleep", "30"), &child);
    if (error)
        return told(error, "");
    portcullis_kill(&child);
    struct portcullis_output output = portcullis_wait(&child);
    return told(output.error, portcullis_format("signal %d", output.signal));
}

static result files(struct portcullis_args args)
{
    struct portcullis_bytes text;
    struct portcullis_stat stat;
    struct portcullis_entries entries;
    enum portcullis_error error;
    if ((error = portcullis_fs_write("notes.txt", portcullis_text("text"))) ||
        (error = portcullis_fs_read("notes.txt", &text)) ||
        (error = portcullis_fs_stat("notes.txt", &stat)) ||
        (error = portcullis_fs_rename("notes.txt", "kept.txt")) ||
        (error = portcullis_fs_mkdir("made")) ||
        (error = portcullis_fs_list(".", &entries)) ||
        (error = portcullis_fs_remove("kept.txt")) ||
        (error = portcullis_fs_remove("made")))
        return told(error, "");
    char *all = portcullis_format("%s %llu", text.data, (unsigned long long)stat.size);
    for (size_t at = 0; at < entries.count; at++)
        all = portcullis_format("%s %s", all, entries.at[at].name);
    return portcullis_ok(all);
}

static result file_missing(struct portcullis_args args)
{
    struct portcullis_bytes content;
    return kind(portcullis_fs_read("missing.txt", &content));
}

static result file_denied(struct portcullis_args args)
{
    struct portcullis_bytes content;
    return kind(portcullis_fs_read("/etc/passwd", &content));
}

static result get(struct portcullis_args args)
{
    struct portcullis_response response;
    enum portcullis_error error = portcullis_http_send((struct portcullis_request){.url = args.at[0]}, &response);
    if (error)
        return told(error, "");
    const char *header = portcullis_header(&response, "x-kind");
    return portcullis_ok(portcullis_format("%d %s %s", response.status, header ? header : "none", response.body.data));
}

static result post(struct portcullis_args args)
{
    struct portcullis_response response;
    enum portcullis_error error = portcullis_http_send(
        (struct portcullis_request){
            .method = "POST",
            .url = args.at[0],
            .headers = (struct portcullis_header[]){{"x-kind", "loud"}},
            .header_count = 1,
            .body = portcullis_text("quiet"),
        },
        &response);
    return error ? told(error, "") : (result){true, response.body};
}

static result http_denied(struct portcullis_args args)
{
    struct portcullis_response response;
    return kind(portcullis_http_send((struct portcullis_request){.url = "https://example.com/"}, &response));
}

static result variable(struct portcullis_args args)
{
    char *granted, *path;
    enum portcullis_error error = portcullis_env_get("PARITY", &granted);
    if (error || (error = portcullis_env_get("PATH", &path)))
        return told(error, "");
    return portcullis_ok(portcullis_format("%s %s", granted ? granted : "none", path ? path : "none"));
}

static result state(struct portcullis_args args)
{
    struct portcullis_bytes one = portcullis_text("1"), a, b;
    struct portcullis_keys keys;
    bool first, second;
    enum portcullis_error error;
    if ((error = portcullis_kv_set("a", one)) ||
        (error = portcullis_kv_set("b", portcullis_text("2"))) ||
        (error = portcullis_kv_cas("a", &one, portcullis_text("3"), &first)) ||
        (error = portcullis_kv_cas("a", &one, portcullis_text("4"), &second)) ||
        (error = portcullis_kv_list("", &keys)) ||
        (error = portcullis_kv_delete("b", NULL)) ||
        (error = portcullis_kv_get("a", &a)) ||
        (error = portcullis_kv_get("b", &b)))
        return told(error, "");
    char *all = portcullis_format("%s %s ", first ? "swapped" : "not swapped", second ? "swapped" : "not swapped");
    for (size_t at = 0; at < keys.count; at++)
        all = portcullis_format("%s%s%s", all, at ? "," : "", keys.at[at]);
    return portcullis_ok(portcullis_format("%s %s %s", all, a.data ? a.data : "none", b.data ? b.data : "none"));
}

static result logged(struct portcullis_args args)
{
    portcullis_log(PORTCULLIS_INFO, "it begins");
    return portcullis_ok("logged");
}

static result questions(struct portcullis_args args)
{
    static const char *const colours[] = {"red", "green", "blue", NULL};
    char *name;
    bool sure;
    size_t colour;
    enum portcullis_error error;
    if ((error = portcullis_prompt_text("name", "What is your name?", NULL, &name)) ||
        (error = portcullis_prompt_confirm("sure", "Are you sure?", false, &sure)) ||
        (error = portcullis_prompt_choose("colour", "Which colour?", colours, -1, &colour)))
        return told(error, "");
    return portcullis_ok(portcullis_format("%s %s %s", name, sure ? "yes" : "no", colours[colour]));
}

static result plugin_arguments(struct portcullis_args args)
{
    char *all = "";
    for (size_t at = 0; at < args.count; at++)
        all = portcullis_format("%s%s%s", all, at ? "|" : "", args.at[at]);
    return portcullis_ok(all);
}

static result fails(struct portcullis_args args)
{
    return portcullis_fail("it does not work");
}

static result crash(struct portcullis_args args)
{
    portcullis_abort("it broke");
}

static const struct scenario {
    const char *name;
    result (*work)(struct portcullis_args args);
} scenarios[] = {
    {"output", output},
    {"arguments", arguments},
    {"bytes", bytes},
    {"status", status},
    {"must-succeed", must_succeed},
    {"signal", signal},
    {"both-outputs", both_outputs},
    {"environment", environment},
    {"directory", directory},
    {"input", input},
    {"large-input", large_input},
    {"deadline", deadline},
    {"denied", denied},
    {"not-found", not_found},
    {"lines", lines},
    {"conversation", conversation},
    {"kill", kill},
    {"files", files},
    {"file-missing", file_missing},
    {"file-denied", file_denied},
    {"get", get},
    {"post", post},
    {"http-denied", http_denied},
    {"variable", variable},
    {"state", state},
    {"log", logged},
    {"questions", questions},
    {"plugin-arguments", plugin_arguments},
    {"error", fails},
    {"crash", crash},
};

struct portcullis_result plugin_main(struct portcullis_args args)
{
    if (args.count == 0)
        return portcullis_fail("usage: SCENARIO [ARG]...");
    for (size_t at = 0; at < sizeof scenarios / sizeof *scenarios; at++)
        if (portcullis_same(args.at[0], scenarios[at].name))
            return scenarios[at].work((struct portcullis_args){args.count - 1, args.at + 1});
    return portcullis_fail(portcullis_format("no scenario `%s`", args.at[0]));
}
