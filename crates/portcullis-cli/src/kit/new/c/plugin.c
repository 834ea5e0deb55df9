/* A plugin in C without any library: sorts its arguments with sort(1), which runs beside it and is fed and read through
 * pipes. docs/interfaces.md says what the host expects.
 *
 *   clang --target=wasm32 -Os -nostdlib -mbulk-memory -Wl,--no-entry -o plugin.wasm plugin.c
 *   portcullis run --allow-exec=sort plugin.wasm pear apple fig
 */

typedef unsigned long size;
typedef unsigned long long packed;

#define FROM_HOST(name) __attribute__((import_module("portcullis:core/v1"), import_name(#name)))
#define TO_HOST(name) __attribute__((export_name(#name)))

FROM_HOST(log) void host_log(int level, packed text);
FROM_HOST(exec_start) packed exec_start(packed request);
FROM_HOST(exec_write) long long exec_write(int child, packed bytes);
FROM_HOST(exec_poll) packed exec_poll(int child, long long timeout_ms);

/* Room for messages of the host and for what is made of them: one call of `run`, then the instance is gone. */
static char room[1 << 20];
static size used;

TO_HOST(allocate) char *allocate(size length)
{
    if (length > sizeof room - used)
        return 0;
    char *at = room + used;
    used += (length + 7) & ~7ul;
    return at;
}

static packed pack(const char *at, size length) { return (packed)(size)at << 32 | length; }
static char *address(packed bytes) { return (char *)(size)(bytes >> 32); }
static size length(packed bytes) { return (size)bytes; }

static size length_of(const char *text)
{
    size count = 0;
    while (text[count])
        count++;
    return count;
}

/* Text that is made piece by piece. */
struct text {
    char *at;
    size length, room;
};

static void add(struct text *text, char c)
{
    if (text->length < text->room)
        text->at[text->length++] = c;
}

static void add_all(struct text *text, const char *from)
{
    while (*from)
        add(text, *from++);
}

/* As JSON has it between quotes. */
static void add_quoted(struct text *text, char c)
{
    if (c == '\n') {
        add_all(text, "\\n");
    } else if ((unsigned char)c >= ' ') {
        if (c == '"' || c == '\\')
            add(text, '\\');
        add(text, c);
    }
}

static struct text text_of(size room) { return (struct text){allocate(room), 0, room}; }

/* What stands after `"name":` in an object of the host, which writes no spaces. */
static const char *member(const char *json, const char *end, const char *name)
{
    size most = length_of(name);
    for (; json + most + 3 < end; json++) {
        size same = 0;
        while (same < most && json[1 + same] == name[same])
            same++;
        if (json[0] == '"' && same == most && json[1 + most] == '"' && json[2 + most] == ':')
            return json + most + 3;
    }
    return 0;
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Adds what a base64 string stands for. */
static void add_base64(struct text *text, const char *from)
{
    unsigned bits = 0, count = 0;
    for (from++; digit(*from) >= 0; from++) {
        bits = bits << 6 | (unsigned)digit(*from);
        count += 6;
        if (count >= 8) {
            count -= 8;
            add_quoted(text, (char)(bits >> count));
        }
    }
}

/* The strings of a list, each on a line of its own. */
static packed lines(packed list)
{
    struct text text = text_of(length(list));
    const char *at = address(list), *end = at + length(list);
    for (int inside = 0; at < end; at++) {
        if (*at == '"') {
            if (inside)
                add(&text, '\n');
            inside = !inside;
        } else if (inside) {
            /* The host writes `\"` and `\\`, and other escapes for control characters, which are left as they are. */
            if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
                at++;
            add(&text, *at);
        }
    }
    return pack(text.at, text.length);
}

static packed answer(const char *kind, const char *words)
{
    struct text text = text_of(64 + length_of(words));
    add_all(&text, "{\"");
    add_all(&text, kind);
    add_all(&text, "\":\"");
    add_all(&text, words);
    add_all(&text, "\"}");
    return pack(text.at, text.length);
}

TO_HOST(run) packed run(packed args)
{
    static const char request[] =
        "{\"program\":\"sort\",\"stdio\":{\"stdin\":\"pipe\",\"stdout\":\"pipe\"}}";
    packed started = exec_start(pack(request, sizeof request - 1));
    const char *at = address(started), *end = at + length(started);
    const char *number = member(at, end, "child");
    if (!number) {
        host_log(4, started);
        return answer("error", "sort did not start");
    }
    int child = 0;
    while (*number >= '0' && *number <= '9')
        child = child * 10 + (*number++ - '0');

    struct text sorted = text_of(1 << 16);
    packed input = lines(args);
    for (int open = 1;;) {
        if (open) {
            long long taken = exec_write(child, input);
            if (length(input) == 0 || taken < 0)
                open = 0;
            else
                input = pack(address(input) + taken, length(input) - (size)taken);
        }
        size before = used;
        packed polled = exec_poll(child, open ? 0 : -1);
        at = address(polled);
        end = at + length(polled);
        const char *output = member(at, end, "stdout"), *outcome = member(at, end, "outcome");
        if (!output || !outcome)
            return answer("error", "sort was lost");
        add_base64(&sorted, output);
        int over = *outcome != 'n';
        used = before;
        if (over)
            break;
    }
    add(&sorted, 0);
    return answer("ok", sorted.at);
}
