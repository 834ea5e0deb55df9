/* The header on this machine, with sanitizers, under a host that says whatever it likes:
 *
 *   cc -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -I .. -o test portcullis.c && ./test
 */

#include <stdio.h>
#include <string.h>

#define PORTCULLIS_PLUGIN
#include "portcullis.h"

static int failures;

static void expect_at(int line, bool holds, const char *what)
{
    if (holds)
        return;
    failures++;
    fprintf(stderr, "portcullis.c:%d: %s\n", line, what);
}

#define EXPECT(condition) expect_at(__LINE__, condition, #condition)

static void expect_text_at(int line, const char *got, const char *want)
{
    if (got && strcmp(got, want) == 0)
        return;
    failures++;
    fprintf(stderr, "portcullis.c:%d: got  %s\n%*swant %s\n", line, got ? got : "nothing", 16, "", want);
}

#define EXPECT_TEXT(got, want) expect_text_at(__LINE__, got, want)

/* ---- The host ------------------------------------------------------------------------------------------------------------ */

static const struct portcullis_bytes *answers; /* the next ones, and the last again and again */
static size_t answers_left;
static char asked[4096]; /* the function and the request of the last call */
static int64_t number;   /* what functions answer that answer a number */

static struct portcullis_bytes copy(struct portcullis_bytes bytes)
{
    char *data = portcullis_allocate(bytes.length);
    if (bytes.length)
        memcpy(data, bytes.data, bytes.length);
    return (struct portcullis_bytes){data, bytes.length};
}

struct portcullis_bytes portcullis_host(const char *function, int32_t child, struct portcullis_bytes request)
{
    snprintf(asked, sizeof asked, "%s %d %.*s", function, (int)child, (int)request.length, request.data ? request.data : "");
    struct portcullis_bytes answer = copy(*answers);
    if (answers_left > 1) {
        answers++;
        answers_left--;
    }
    return answer;
}

int64_t portcullis_host_number(const char *function, int32_t child, struct portcullis_bytes bytes)
{
    (void)function, (void)child;
    return number < 0 ? number : number < (int64_t)bytes.length ? number : (int64_t)bytes.length;
}

/* What the host answers next. */
static void answer(const char *text)
{
    static struct portcullis_bytes one;
    one = portcullis_text(text);
    answers = &one;
    answers_left = 1;
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------------- */

static const struct portcullis_json *parsed(const char *text) { return portcullis_json_parse(portcullis_text(text)); }

static void what_is_json_is_read(void)
{
    static const char *const good[] = {
        "null", " true ", "false", "0", "-0", "10", "-1.5e+3", "1E9", "0.0", "\"\"", "[]", "{}", "[1,[2],{\"a\":3}]",
        "\t\r\n {\"a\" : [ ] , \"b\":{ }} ", "\"\\u0041\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"h\xc3\xa9\xf0\x9f\x98\x80\"",
        "\"\x7f\"", "\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"",
    };
    static const char *const bad[] = {
        "", " ", "nul", "truefalse", "+1", "01", "-", "1.", ".5", "1e", "1e+", "0x1", "NaN", "\"", "\"\\", "\"\\u", "\"\\u12", "\"\\u12g4\"",
        "\"\\x\"", "\"\\ud800\"", "\"\\ud800\\", "\"\\ud800\\u\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\ud800\\ud800\"", "\"\n\"", "\"\x1f\"",
        "\"\x80\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xe0\x9f\xbf\"", "\"\xed\xa0\x80\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"", "\"\xc3\"", "\"\xe2\x82", "\"\xf0\x9f\x98", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{", "{\"a\"", "{\"a\":",
        "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1]", "[] []", "1 1", "'a'", "/**/1", "\xef\xbb\xbf" "1",
    };
    for (size_t at = 0; at < sizeof good / sizeof *good; at++)
        if (!parsed(good[at]))
            expect_text_at(__LINE__, "refused", good[at]);
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++)
        if (parsed(bad[at]))
            expect_text_at(__LINE__, "taken", bad[at]);
    EXPECT(!portcullis_json_parse((struct portcullis_bytes){"\"a\0b\"", 5}));
    EXPECT(!portcullis_json_parse((struct portcullis_bytes){"1\0", 2}));
    EXPECT_TEXT(parsed(good[14])->text.data, "A\xf0\x9f\x98\x80\"\\/\b\f\n\r\t");
    EXPECT(parsed("\"a\\u0000b\"")->text.length == 3);
    const struct portcullis_json *value = parsed("{\"a\":1,\"b\":[true,\"x\"],\"a\":2,\"\":3}");
    EXPECT(value->count == 4 && portcullis_json_get(value, "b")->count == 2);
    EXPECT(portcullis_json_get(value, "b")->first->truth);
    EXPECT_TEXT(portcullis_json_get(value, "b")->first->next->text.data, "x");
    EXPECT_TEXT(portcullis_json_get(value, "a")->text.data, "1");
    EXPECT_TEXT(portcullis_json_get(value, "")->text.data, "3");
    EXPECT(!portcullis_json_get(value, "c") && !portcullis_json_get(NULL, "a") && !portcullis_json_get(value->first, "a"));
    portcullis_reset();
}

static void no_value_is_deeper_than_said(void)
{
    char text[2 * (PORTCULLIS_JSON_DEPTH + 1)];
    for (size_t depth = PORTCULLIS_JSON_DEPTH; depth <= PORTCULLIS_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        bool taken = portcullis_json_parse((struct portcullis_bytes){text, 2 * depth}) != NULL;
        EXPECT(taken == (depth == PORTCULLIS_JSON_DEPTH));
    }
    size_t length = 1 << 20;
    char *deep = malloc(length);
    memset(deep, '[', length);
    EXPECT(!portcullis_json_parse((struct portcullis_bytes){deep, length}));
    free(deep);
    portcullis_reset();
}

static void whole_numbers_are_those_that_fit(void)
{
    static const struct {
        const char *text;
        bool whole;
        int64_t number;
    } cases[] = {
        {"0", true, 0}, {"-0", true, 0}, {"42", true, 42}, {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX}, {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0}, {"-9223372036854775809", false, 0}, {"18446744073709551616", false, 0},
        {"99999999999999999999999", false, 0}, {"1.0", false, 0}, {"1e2", false, 0}, {"\"1\"", false, 0}, {"null", false, 0},
    };
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        int64_t got = 0;
        bool whole = portcullis_json_integer(parsed(cases[at].text), &got);
        if (whole != cases[at].whole || got != cases[at].number)
            expect_text_at(__LINE__, portcullis_format("%lld", (long long)got), cases[at].text);
    }
    int64_t none;
    EXPECT(!portcullis_json_integer(NULL, &none));
    portcullis_reset();
}

/* xorshift: the same numbers in every run. */
static uint32_t seed = 2463534242;

static uint32_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

static void what_is_written_is_read_back(void)
{
    for (int round = 0; round < 2000; round++) {
        char bytes[48];
        size_t length = next() % sizeof bytes;
        bool ascii = round % 2;
        for (size_t at = 0; at < length; at++)
            bytes[at] = (char)(ascii ? next() % 128 : next());
        struct portcullis_bytes raw = copy((struct portcullis_bytes){bytes, length}), back = {0};
        struct portcullis__writer text = {0};
        portcullis__put_string(&text, raw);
        const struct portcullis_json *value = portcullis_json_parse((struct portcullis_bytes){text.data, text.length});
        EXPECT(value && (!ascii || !text.invalid));
        if (value && !text.invalid)
            EXPECT(value->text.length == length && (length == 0 || memcmp(value->text.data, bytes, length) == 0));
        struct portcullis__writer base64 = {0};
        portcullis__member_bytes(&base64, "b", raw);
        portcullis__put(&base64, "}", 1);
        value = portcullis_json_parse((struct portcullis_bytes){base64.data, base64.length});
        EXPECT(portcullis__bytes(portcullis_json_get(value, "b"), &back) && back.length == length);
        EXPECT(back.length != length || length == 0 || memcmp(back.data, bytes, length) == 0);
        portcullis_reset();
    }
}

static void base64_is_canonical(void)
{
    static const char *const bad[] = {"a",    "ab",   "abc",  "abcde", "=",    "====",     "a===",     "ab=c", "abc-",
                                      "ab c", "aB==", "abD=", "aa=a",  "aa==aaaa", "YQ==YQ==", "YWI=\\n", "aGk",  "aGk_"};
    struct portcullis_bytes bytes;
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++)
        if (portcullis__bytes(parsed(portcullis_format("\"%s\"", bad[at])), &bytes))
            expect_text_at(__LINE__, "taken", bad[at]);
    EXPECT(portcullis__bytes(parsed("\"aGk=\""), &bytes));
    EXPECT_TEXT(bytes.data, "hi");
    EXPECT(!portcullis__bytes(parsed("[]"), &bytes) && !portcullis__bytes(NULL, &bytes));
    portcullis_reset();
}

/* ---- Text ---------------------------------------------------------------------------------------------------------------- */

static void formats_are_those_of_printf(void)
{
    EXPECT_TEXT(portcullis_format("%s|%.*s|%c|%%|%d|%d", "a", 2, "bcd", 'e', 0, -7), "a|bc|e|%|0|-7");
    EXPECT_TEXT(portcullis_format("%d %u %x %zu", INT32_MIN, UINT32_MAX, 0xbeefu, (size_t)9), "-2147483648 4294967295 beef 9");
    EXPECT_TEXT(portcullis_format("%lld %llu %ld %lx", (long long)INT64_MIN, (unsigned long long)UINT64_MAX, -1L, 255ul),
                "-9223372036854775808 18446744073709551615 -1 ff");
    EXPECT_TEXT(portcullis_format("%s", ""), "");
    EXPECT_TEXT(portcullis_chomp(copy((struct portcullis_bytes){"a\nb\r\n\n", 7})), "a\nb\r\n\n");
    char text[] = "a\nb\r\n\n";
    EXPECT_TEXT(portcullis_chomp(portcullis_text(text)), "a\nb");
    EXPECT(portcullis_same("", "") && portcullis_same("ab", "ab") && !portcullis_same("a", "ab") && !portcullis_same("ab", "a"));
    portcullis_reset();
}

/* ---- Calls --------------------------------------------------------------------------------------------------------------- */

struct portcullis_result plugin_main(struct portcullis_args args)
{
    char *text = "";
    for (size_t at = 0; at < args.count; at++)
        text = portcullis_format("%s[%s]", text, args.at[at]);
    EXPECT(args.at[args.count] == NULL);
    return args.count == 1 ? portcullis_fail("\xff") : portcullis_ok(text);
}

static const char *worked(const char *message) { return portcullis__work(copy(portcullis_text(message))).data; }

static void a_plugin_is_given_texts_and_answers_one(void)
{
    EXPECT_TEXT(worked("[]"), "{\"ok\":\"\"}");
    EXPECT_TEXT(worked("[\"a b\",\"\",\"\\n\\u00e9\"]"), "{\"ok\":\"[a b][][\\u000a\xc3\xa9]\"}");
    EXPECT_TEXT(worked("[\"a\"]"), "{\"error\":\"\xef\xbf\xbd\"}");
    static const char *const none[] = {"", "{}", "[1]", "[\"a\\u0000b\"]", "[\"a\"", "null"};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++)
        EXPECT_TEXT(worked(none[at]), "{\"error\":\"the arguments are no list of texts\"}");
    portcullis_reset();
}

static void a_command_is_asked_for_as_it_is(void)
{
    struct portcullis_command command = PORTCULLIS_COMMAND("git", "log", "a \"b\"");
    command.cwd = "/x";
    command.env = (const char *const[]){"A=b=c", "D=", NULL};
    command.input = portcullis_text("hi");
    command.timeout_ms = 5;
    command.request_id = "r";
    answer("{\"ok\":{\"exit\":{\"kind\":\"exited\",\"code\":3},\"stdout\":\"aGk=\",\"stderr\":\"\",\"stdout-truncated\":true,"
           "\"stderr-truncated\":false,\"duration\":7}}");
    struct portcullis_output output = portcullis_run(command);
    EXPECT_TEXT(asked, "exec 0 {\"program\":\"git\",\"args\":[\"log\",\"a \\\"b\\\"\"],\"cwd\":\"/x\",\"env\":[[\"A\",\"b=c\"],[\"D\",\"\"]],"
                       "\"inherit-env\":false,\"timeout\":5000000,\"request-id\":\"r\",\"stdin\":\"aGk=\"}");
    EXPECT(output.error == PORTCULLIS_DONE && output.status == 3 && output.out_truncated && !output.err_truncated);
    EXPECT_TEXT(output.out.data, "hi");
    EXPECT(output.duration_ns == 7);
    EXPECT_TEXT(portcullis_trouble(&output), "exit status 3");

    answer("{\"ok\":{\"exit\":{\"kind\":\"signalled\",\"signal\":15},\"stdout\":\"\",\"stderr\":\"aGk=\"}}");
    output = portcullis_run(PORTCULLIS_COMMAND("x"));
    EXPECT(output.signal == 15 && output.status == 143);
    EXPECT_TEXT(portcullis_trouble(&output), "hi");
    answer("{\"ok\":{\"exit\":{\"kind\":\"killed\",\"reason\":\"memory\"},\"stdout\":\"\",\"stderr\":\"\"}}");
    output = portcullis_run(PORTCULLIS_COMMAND("x"));
    EXPECT(output.status == 137);
    EXPECT_TEXT(portcullis_trouble(&output), "killed: memory");
    answer("{\"ok\":{\"exit\":{\"kind\":\"timed-out\"},\"stdout\":\"\",\"stderr\":\"\"}}");
    output = portcullis_run(PORTCULLIS_COMMAND("x"));
    EXPECT(output.timed_out && output.status == 124);
    answer("{\"ok\":{\"exit\":{\"kind\":\"exited\",\"code\":0},\"stdout\":\"\",\"stderr\":\"\"}}");
    output = portcullis_run(PORTCULLIS_COMMAND("x"));
    EXPECT(output.status == 0 && !portcullis_trouble(&output));

    /* What is no text is not asked for. */
    asked[0] = 0;
    EXPECT(portcullis_run(PORTCULLIS_COMMAND("x", "\xff")).error == PORTCULLIS_INVALID);
    EXPECT(portcullis_run((struct portcullis_command){0}).error == PORTCULLIS_INVALID);
    command.env = (const char *const[]){"A", NULL};
    EXPECT(portcullis_run(command).error == PORTCULLIS_INVALID);
    EXPECT_TEXT(asked, "");
    portcullis_reset();
}

static void errors_are_of_their_kinds(void)
{
    static const struct {
        const char *kind;
        enum portcullis_error error;
    } kinds[] = {
        {"denied", PORTCULLIS_DENIED}, {"not-found", PORTCULLIS_NOT_FOUND}, {"exists", PORTCULLIS_EXISTS},
        {"not-empty", PORTCULLIS_NOT_EMPTY}, {"not-a-file", PORTCULLIS_NOT_A_FILE},
        {"not-a-directory", PORTCULLIS_NOT_A_DIRECTORY}, {"too-large", PORTCULLIS_TOO_LARGE}, {"full", PORTCULLIS_FULL},
        {"limit", PORTCULLIS_LIMIT}, {"timed-out", PORTCULLIS_TIMED_OUT}, {"nobody", PORTCULLIS_NOBODY},
        {"invalid", PORTCULLIS_INVALID}, {"io", PORTCULLIS_IO}, {"done", PORTCULLIS_IO}, {"den", PORTCULLIS_IO},
        {"denied-", PORTCULLIS_IO}, {"", PORTCULLIS_IO},
    };
    for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++) {
        answer(portcullis_format("{\"error\":{\"kind\":\"%s\",\"limit\":\"children\"}}", kinds[at].kind));
        if (portcullis_fs_mkdir("x") != kinds[at].error)
            expect_text_at(__LINE__, "another error", kinds[at].kind);
    }
    static const char *const none[] = {"", "x", "{}", "[]", "{\"error\":null}", "{\"error\":{}}", "{\"error\":{\"kind\":1}}", "{\"ok\":null"};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        answer(none[at]);
        EXPECT(portcullis_fs_mkdir("x") == PORTCULLIS_IO);
    }
    EXPECT_TEXT(portcullis_error_text(PORTCULLIS_NOT_FOUND), "not found");
    EXPECT_TEXT(portcullis_error_text((enum portcullis_error)99), "io");
    portcullis_reset();
}

static void all_other_calls_are_asked_and_answered(void)
{
    struct portcullis_bytes bytes = {0};
    struct portcullis_stat stat = {0};
    struct portcullis_entries entries = {0};
    struct portcullis_keys keys = {0};
    struct portcullis_response response = {0};
    char *text = NULL;
    bool yes = false;
    size_t place = 0;
    answer("{\"ok\":\"aGk=\"}");
    EXPECT(portcullis_fs_read("a", &bytes) == PORTCULLIS_DONE);
    EXPECT_TEXT(asked, "fs_read 0 {\"path\":\"a\"}");
    EXPECT_TEXT(bytes.data, "hi");
    answer("{\"ok\":null}");
    EXPECT(portcullis_fs_write("a", portcullis_text("hi")) == PORTCULLIS_DONE);
    EXPECT_TEXT(asked, "fs_write 0 {\"path\":\"a\",\"content\":\"aGk=\"}");
    EXPECT(portcullis_fs_rename("a", "b") == PORTCULLIS_DONE);
    EXPECT_TEXT(asked, "fs_rename 0 {\"from\":\"a\",\"to\":\"b\"}");
    EXPECT(portcullis_kv_get("a", &bytes) == PORTCULLIS_DONE && !bytes.data);
    EXPECT(portcullis_env_get("A", &text) == PORTCULLIS_DONE && !text);
    answer("{\"ok\":[{\"name\":\"x\",\"kind\":\"file\"},{\"name\":\"y\",\"kind\":\"directory\"}]}");
    EXPECT(portcullis_fs_list(".", &entries) == PORTCULLIS_DONE && entries.count == 2);
    EXPECT(entries.at[1].kind == PORTCULLIS_DIRECTORY && strcmp(entries.at[0].name, "x") == 0);
    answer("{\"ok\":{\"kind\":\"link\",\"size\":18446744073709551615,\"modified\":1}}");
    EXPECT(portcullis_fs_stat("a", &stat) == PORTCULLIS_DONE && stat.kind == PORTCULLIS_LINK && stat.size == UINT64_MAX);
    answer("{\"ok\":{\"status\":200,\"headers\":[[\"X-A\",\"1\"],[\"b\",\"2\"]],\"body\":\"aGk=\",\"truncated\":true}}");
    struct portcullis_header header = {"x", "y"};
    EXPECT(portcullis_http_send((struct portcullis_request){.url = "u", .headers = &header, .header_count = 1, .timeout_ms = UINT64_MAX},
                                &response) == PORTCULLIS_DONE);
    EXPECT_TEXT(asked, "http_send 0 {\"method\":\"GET\",\"url\":\"u\",\"headers\":[[\"x\",\"y\"]],\"timeout\":18446744073709000000}");
    EXPECT(response.status == 200 && response.truncated && response.header_count == 2);
    EXPECT_TEXT(portcullis_header(&response, "x-a"), "1");
    EXPECT(!portcullis_header(&response, "x"));
    struct portcullis_bytes pages[] = {portcullis_text("{\"ok\":{\"keys\":[\"a\",\"b\"],\"more\":true}}"),
                                       portcullis_text("{\"ok\":{\"keys\":[\"c\"],\"more\":false}}")};
    answers = pages;
    answers_left = 2;
    EXPECT(portcullis_kv_list("", &keys) == PORTCULLIS_DONE && keys.count == 3 && !keys.at[3]);
    EXPECT_TEXT(asked, "kv_list 0 {\"prefix\":\"\",\"after\":\"b\",\"limit\":100}");
    EXPECT_TEXT(keys.at[2], "c");
    answer("{\"ok\":{\"keys\":[],\"more\":true}}");
    EXPECT(portcullis_kv_list("", &keys) == PORTCULLIS_DONE && keys.count == 0);
    answer("{\"ok\":true}");
    bytes = (struct portcullis_bytes){0};
    EXPECT(portcullis_kv_cas("k", NULL, bytes, &yes) == PORTCULLIS_DONE && yes);
    EXPECT_TEXT(asked, "kv_compare_and_swap 0 {\"key\":\"k\",\"value\":\"\"}");
    EXPECT(portcullis_kv_cas("k", &bytes, bytes, &yes) == PORTCULLIS_DONE);
    EXPECT_TEXT(asked, "kv_compare_and_swap 0 {\"key\":\"k\",\"expected\":\"\",\"value\":\"\"}");
    EXPECT(portcullis_kv_delete("k", NULL) == PORTCULLIS_DONE);
    EXPECT(portcullis_prompt_confirm("i", "m", true, &yes) == PORTCULLIS_DONE);
    EXPECT_TEXT(asked, "prompt_confirm 0 {\"id\":\"i\",\"message\":\"m\",\"default\":true}");
    EXPECT(portcullis_prompt_text("i", "m", NULL, &text) == PORTCULLIS_IO);
    answer("{\"ok\":1}");
    const char *const options[] = {"a", "b", NULL}, *const less[] = {"a", NULL};
    EXPECT(portcullis_prompt_choose("i", "m", options, 0, &place) == PORTCULLIS_DONE && place == 1);
    EXPECT_TEXT(asked, "prompt_choose 0 {\"id\":\"i\",\"message\":\"m\",\"options\":[\"a\",\"b\"],\"default\":0}");
    EXPECT(portcullis_prompt_choose("i", "m", less, -1, &place) == PORTCULLIS_IO);
    struct portcullis_places defaults = {2, (size_t[]){0, 1}}, places = {0};
    EXPECT(portcullis_prompt_choose_some("i", "m", options, defaults, &places) == PORTCULLIS_IO);
    answer("{\"ok\":[1]}");
    EXPECT(portcullis_prompt_choose_some("i", "m", options, defaults, &places) == PORTCULLIS_DONE);
    EXPECT_TEXT(asked, "prompt_choose_some 0 {\"id\":\"i\",\"message\":\"m\",\"options\":[\"a\",\"b\"],\"defaults\":[0,1]}");
    EXPECT(places.count == 1 && places.at[0] == 1);
    answer("{\"ok\":[0,2]}");
    EXPECT(portcullis_prompt_choose_some("i", "m", options, defaults, &places) == PORTCULLIS_IO);
    portcullis_reset();
}

static void a_child_is_read_line_by_line(void)
{
    struct portcullis_bytes said[] = {
        portcullis_text("{\"ok\":{\"child\":7}}"),
        portcullis_text("{\"ok\":{\"stdout\":\"b25lCnQ=\",\"stderr\":\"ZQ==\",\"writable\":1,\"outcome\":null}}"),
        portcullis_text("{\"ok\":{\"stdout\":\"d28KZW5k\",\"stderr\":\"cnI=\",\"writable\":1,\"outcome\":null}}"),
        portcullis_text("{\"ok\":{\"stdout\":\"\",\"stderr\":\"\",\"writable\":0,\"outcome\":{\"exit\":{\"kind\":\"exited\",\"code\":2}}}}"),
    };
    struct portcullis_child child;
    struct portcullis_bytes line;
    answers = said;
    answers_left = 4;
    struct portcullis_command command = PORTCULLIS_COMMAND("sh");
    command.stdio[PORTCULLIS_ERR + 1] = PORTCULLIS_MERGED;
    EXPECT(portcullis_start(command, &child) == PORTCULLIS_DONE && child.number == 7);
    EXPECT_TEXT(asked, "exec_start 0 {\"program\":\"sh\",\"args\":[],\"env\":[],\"inherit-env\":false,"
                       "\"stdio\":{\"stdin\":\"pipe\",\"stdout\":\"pipe\",\"stderr\":\"merged\"}}");
    for (const char *const *want = (const char *const[]){"one", "two", "end", NULL}; *want; want++) {
        EXPECT(portcullis_read_line(&child, PORTCULLIS_OUT, &line));
        EXPECT_TEXT(line.data, *want);
    }
    EXPECT(!portcullis_read_line(&child, PORTCULLIS_OUT, &line) && !child.error);
    char one[2];
    EXPECT(portcullis_read(&child, PORTCULLIS_ERR, one, 2) == 2 && one[0] == 'e');
    struct portcullis_output output = portcullis_wait(&child);
    EXPECT(output.status == 2 && output.out.length == 0);
    EXPECT_TEXT(output.err.data, "r");
    portcullis_reset();
}

/* As much as the host says that it gives at once is taken, and no more. */
static void no_look_gives_more_than_there_is_room_for(void)
{
    for (size_t more = 0; more < 2; more++) {
        struct portcullis__writer look = {0};
        struct portcullis_bytes raw = {portcullis_allocate(PORTCULLIS__CHUNK + more), PORTCULLIS__CHUNK + more};
        memset(raw.data, 'x', raw.length);
        portcullis__put_text(&look, "{\"ok\":{\"stderr\":\"\"");
        portcullis__member_bytes(&look, "stdout", raw);
        portcullis__put_text(&look, "}}");
        struct portcullis_bytes said[] = {portcullis_text("{\"ok\":{\"child\":7}}"), {look.data, look.length}, {look.data, look.length},
                                          portcullis_text("{\"ok\":{\"stdout\":\"\",\"stderr\":\"\",\"outcome\":{\"exit\":{\"kind\":\"timed-out\"}}}}")};
        struct portcullis_child child;
        answers = said;
        answers_left = 4;
        EXPECT(portcullis_start(PORTCULLIS_COMMAND("x"), &child) == PORTCULLIS_DONE);
        struct portcullis_output output = portcullis_wait(&child);
        if (more)
            EXPECT(output.error == PORTCULLIS_IO && child.error == PORTCULLIS_IO && output.status == -1);
        else
            EXPECT(output.timed_out && output.out.length == 2 * PORTCULLIS__CHUNK && strlen(output.out.data) == output.out.length);
        portcullis_reset();
    }
}

static void what_does_not_fit_is_no_answer(void)
{
    struct portcullis_response response;
    struct portcullis_stat stat;
    static const char *const exits[] = {"\"signalled\",\"signal\":128", "\"exited\",\"code\":256", "\"exited\"", "\"exited\",\"code\":-1", "1"};
    for (size_t at = 0; at < sizeof exits / sizeof *exits; at++) {
        answer(portcullis_format("{\"ok\":{\"exit\":{\"kind\":%s},\"stdout\":\"\",\"stderr\":\"\"}}", exits[at]));
        EXPECT(portcullis_run(PORTCULLIS_COMMAND("x")).error == PORTCULLIS_IO);
    }
    static const char *const headers[] = {"[1]", "[[]]", "[[\"a\"]]", "[[\"a\",1]]", "[[\"a\",\"b\",\"c\"]]", "[{}]"};
    for (size_t at = 0; at < sizeof headers / sizeof *headers; at++) {
        answer(portcullis_format("{\"ok\":{\"status\":200,\"headers\":%s,\"body\":\"\"}}", headers[at]));
        EXPECT(portcullis_http_send((struct portcullis_request){.url = "u"}, &response) == PORTCULLIS_IO);
    }
    answer("{\"ok\":{\"kind\":\"file\",\"size\":18446744073709551616,\"modified\":1}}");
    EXPECT(portcullis_fs_stat("a", &stat) == PORTCULLIS_IO);
    answer("{\"ok\":{\"child\":2147483648}}");
    struct portcullis_child child;
    EXPECT(portcullis_start(PORTCULLIS_COMMAND("x"), &child) == PORTCULLIS_IO);
    portcullis_reset();
}

/* Answers with something else in them, to every call: nothing may be read or written that is not there. */
static void a_hostile_host_breaks_nothing(void)
{
    static const char *const good[] = {
        "{\"ok\":{\"exit\":{\"kind\":\"exited\",\"code\":3},\"stdout\":\"aGk=\",\"stderr\":\"YQ==\",\"duration\":7}}",
        "{\"ok\":{\"exit\":{\"kind\":\"killed\",\"reason\":\"output\"},\"stdout\":\"\",\"stderr\":\"\"}}",
        "{\"ok\":{\"child\":7,\"stdout\":\"b25lCg==\",\"stderr\":\"\",\"writable\":1,\"outcome\":null}}",
        "{\"ok\":{\"child\":1,\"stdout\":\"\",\"stderr\":\"\",\"outcome\":{\"exit\":{\"kind\":\"signalled\",\"signal\":9}}}}",
        "{\"ok\":{\"child\":1,\"stdout\":\"\",\"stderr\":\"\",\"outcome\":{\"error\":{\"kind\":\"io\"}}}}",
        "{\"ok\":\"aG\\u006b=\"}",
        "{\"ok\":[{\"name\":\"\\ud83d\\ude00\",\"kind\":\"file\"},{\"name\":\"y\",\"kind\":\"other\"}]}",
        "{\"ok\":{\"kind\":\"file\",\"size\":1,\"modified\":2}}",
        "{\"ok\":{\"status\":200,\"headers\":[[\"a\",\"1\"]],\"body\":\"aGk=\",\"truncated\":false}}",
        "{\"ok\":{\"keys\":[\"a\",\"b\"],\"more\":false}}",
        "{\"ok\":true}",
        "{\"ok\":0}",
        "{\"error\":{\"kind\":\"limit\",\"limit\":\"children\"}}",
        "[\"a\",\"\\\"\",\"\"]",
    };
    static const char soup[] = "\"\\{}[],:=0123456789eE+-.untrueABC \x80\xff\xed\xa0\xf0\x1f";
    enum { KINDS = sizeof good / sizeof *good };
    for (int round = 0; round < 60000; round++) {
        char text[256];
        struct portcullis_bytes said = {text, strlen(good[round % KINDS])};
        memcpy(text, good[round % KINDS], said.length);
        for (uint32_t changes = next() % 4; changes; changes--) {
            size_t at = next() % said.length;
            uint32_t how = next() % 4;
            if (how == 0)
                said.length = at + 1;
            else if (how == 1)
                memmove(text + at, text + at + 1, said.length-- - at - 1);
            else
                text[at] = soup[next() % (sizeof soup - 1)];
            if (said.length == 0)
                said.length = 1;
        }
        struct portcullis_bytes end = portcullis_text(good[3]), script[] = {said, end};
        answers = script;
        answers_left = 2;
        number = (int64_t)(next() % 4) - 1;
        struct portcullis_bytes bytes = {0};
        struct portcullis_stat stat;
        struct portcullis_entries entries = {0};
        struct portcullis_keys keys = {0};
        struct portcullis_response response = {0};
        struct portcullis_child child;
        struct portcullis_output output;
        char *word = NULL;
        bool yes;
        size_t place;
        const char *const options[] = {"a", "b", NULL};
        switch (next() % 12) {
        case 0:
            output = portcullis_run(PORTCULLIS_COMMAND("x"));
            EXPECT(output.out.data[output.out.length] == 0 && output.err.data[output.err.length] == 0);
            portcullis_trouble(&output);
            break;
        case 1:
            if (round % 50 == 0 && portcullis_start(PORTCULLIS_COMMAND("x"), &child) == PORTCULLIS_DONE) {
                answers = script;
                answers_left = 2;
                while (portcullis_read_line(&child, PORTCULLIS_OUT, &bytes))
                    EXPECT(bytes.data[bytes.length] == 0);
                portcullis_write(&child, "abc", 3);
                if (round % 100)
                    portcullis_kill(&child);
                output = portcullis_wait(&child);
                EXPECT(output.out.data[output.out.length] == 0);
            }
            break;
        case 2:
            if (portcullis_fs_read("x", &bytes) == PORTCULLIS_DONE)
                EXPECT(bytes.data[bytes.length] == 0);
            break;
        case 3:
            if (portcullis_fs_list("x", &entries) == PORTCULLIS_DONE)
                for (size_t at = 0; at < entries.count; at++)
                    EXPECT(strlen(entries.at[at].name) < said.length);
            break;
        case 4:
            portcullis_fs_stat("x", &stat);
            break;
        case 5:
            if (portcullis_http_send((struct portcullis_request){.url = "x"}, &response) == PORTCULLIS_DONE)
                portcullis_header(&response, "a");
            break;
        case 6:
            if (portcullis_env_get("x", &word) == PORTCULLIS_DONE && word)
                EXPECT(strlen(word) < said.length);
            break;
        case 7:
            if (portcullis_kv_list("", &keys) == PORTCULLIS_DONE)
                EXPECT(!keys.at[keys.count]);
            break;
        case 8:
            portcullis_kv_get("x", &bytes);
            break;
        case 9:
            portcullis_kv_delete("x", &yes);
            break;
        case 10:
            if (portcullis_prompt_choose("x", "y", options, -1, &place) == PORTCULLIS_DONE)
                EXPECT(place < 2);
            break;
        case 11:
            portcullis__work(copy(said));
            break;
        }
        portcullis_reset();
    }
}

int main(void)
{
    what_is_json_is_read();
    no_value_is_deeper_than_said();
    whole_numbers_are_those_that_fit();
    what_is_written_is_read_back();
    base64_is_canonical();
    formats_are_those_of_printf();
    a_plugin_is_given_texts_and_answers_one();
    a_command_is_asked_for_as_it_is();
    errors_are_of_their_kinds();
    all_other_calls_are_asked_and_answered();
    a_child_is_read_line_by_line();
    no_look_gives_more_than_there_is_room_for();
    what_does_not_fit_is_no_answer();
    a_hostile_host_breaks_nothing();
    if (failures)
        fprintf(stderr, "%d failures\n", failures);
    return failures != 0;
}
