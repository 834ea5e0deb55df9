/* portcullis.h: plugins for Portcullis in C, without a libc.
 *
 *   #define PORTCULLIS_PLUGIN
 *   #include "portcullis.h"
 *
 *   struct portcullis_result plugin_main(struct portcullis_args args)
 *   {
 *       struct portcullis_output git = portcullis_run(PORTCULLIS_COMMAND("git", "status", "--porcelain"));
 *       if (git.status != 0)
 *           return portcullis_fail(portcullis_trouble(&git));
 *       return portcullis_ok(portcullis_chomp(git.out));
 *   }
 *
 *   clang --target=wasm32 -Os -nostdlib -mbulk-memory -Wl,--no-entry,--strip-debug -o plugin.wasm plugin.c
 *   portcullis run --allow-exec=git plugin.wasm
 *
 * One file of a plugin defines PORTCULLIS_PLUGIN: it has the definitions, and what the host calls. The others include the
 * header alone. A plugin imports the functions of the host that it calls and no others, and needs the grants for those alone.
 *
 * MEMORY. Everything that is returned is in one arena, which is empty again for the next call of plugin_main: nothing is freed,
 * and nothing of it may be kept in a static variable. A plugin for which there is no more memory is ended by portcullis_abort.
 *
 * TEXT is UTF-8. What is not UTF-8 or has a NUL in it is PORTCULLIS_INVALID as a name, path or argument, and U+FFFD in what is
 * shown. Bytes (`struct portcullis_bytes`) are bytes.
 *
 * ERRORS. A call gives PORTCULLIS_DONE, which is 0, or the kind of its failure and no more: why something was denied stands in
 * the operator's audit trail. An out parameter is written only if it was done.
 *
 * Names that begin with `portcullis__` are the header's own. docs/c.md is the guide, docs/interfaces.md says what the host does.
 */
#ifndef PORTCULLIS_H
#define PORTCULLIS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PORTCULLIS__FORMAT(text, first) __attribute__((format(printf, text, first)))
#define PORTCULLIS__NORETURN __attribute__((noreturn))
#else
#define PORTCULLIS__FORMAT(text, first)
#define PORTCULLIS__NORETURN
#endif

/* Bytes with their number. Those that a function of this header gives have a NUL behind them, and may be changed. */
struct portcullis_bytes {
    char *data;
    size_t length;
};

/* Why a call was not done. */
enum portcullis_error {
    PORTCULLIS_DONE = 0,
    PORTCULLIS_DENIED,          /* it was not granted */
    PORTCULLIS_NOT_FOUND,       /* no such program, or file */
    PORTCULLIS_EXISTS,          /* there is something of that name */
    PORTCULLIS_NOT_EMPTY,       /* the directory is not empty */
    PORTCULLIS_NOT_A_FILE,      /* a directory, a pipe, a device */
    PORTCULLIS_NOT_A_DIRECTORY, /* or something on the way is none */
    PORTCULLIS_TOO_LARGE,       /* more than one call may move */
    PORTCULLIS_FULL,            /* the plugin's state has its whole size */
    PORTCULLIS_LIMIT,           /* more than the plugin may have at once, or in a minute */
    PORTCULLIS_TIMED_OUT,       /* its time was over before there was an answer */
    PORTCULLIS_NOBODY,          /* nobody can be asked, and there is no default */
    PORTCULLIS_INVALID,         /* no such request, such as a name that is no UTF-8 */
    PORTCULLIS_IO,              /* the host failed; its operator knows why */
};

/* The error in words, such as "denied" or "not found". Static. */
const char *portcullis_error_text(enum portcullis_error error);

/* ---- The plugin ---------------------------------------------------------------------------------------------------------- */

/* What the plugin was called with. at[0] is the first argument, and not the plugin's name; at[count] is NULL. */
struct portcullis_args {
    size_t count;
    char **at;
};

/* What the plugin's work came to. `text` need not have a NUL behind it. */
struct portcullis_result {
    bool ok;
    struct portcullis_bytes text;
};

/* The plugin's work, which the plugin defines. */
struct portcullis_result plugin_main(struct portcullis_args args);

/* The work is done: `text` goes to standard output, with a line break behind it. */
struct portcullis_result portcullis_ok(const char *text);

/* The work could not be done: the operator is told `text`, and the exit code is 1. */
struct portcullis_result portcullis_fail(const char *text);

/* Ends the plugin, as a crash: the operator sees the message, and the exit code is 125. For mistakes of the plugin itself. */
PORTCULLIS__NORETURN void portcullis_abort(const char *message);

/* As assert: aborts unless the condition holds, and says which one and where: `plugin.c:12: check failed: size > 0`. */
#define portcullis_check(condition) \
    ((condition) ? (void)0 : portcullis_abort(__FILE__ ":" PORTCULLIS__TEXT(__LINE__) ": check failed: " #condition))
#define PORTCULLIS__TEXT(line) PORTCULLIS__TEXT_OF(line)
#define PORTCULLIS__TEXT_OF(line) #line

/* ---- Memory and text ----------------------------------------------------------------------------------------------------- */

/* Room in the arena, aligned for everything and not cleared. */
void *portcullis_allocate(size_t size);

/* A text as bytes. They are the text's own, not a copy, and are only read. */
struct portcullis_bytes portcullis_text(const char *text);

/* Bytes as a text without the line breaks at its end, which are cut off in place. It ends at a NUL among the bytes. Bytes of a
 * function of this header only: there has to be a NUL behind them. */
char *portcullis_chomp(struct portcullis_bytes bytes);

/* As sprintf, into the arena: %s, %.*s, %c, %d, %u, %x with `l`, `ll` or `z`, and %%. Another directive aborts the plugin. */
char *portcullis_format(const char *format, ...) PORTCULLIS__FORMAT(1, 2);

/* Whether two texts are the same. */
bool portcullis_same(const char *one, const char *other);

/* ---- Commands ------------------------------------------------------------------------------------------------------------ */

/* What becomes of a stream of a command that portcullis_start starts. */
enum portcullis_stdio {
    PORTCULLIS_PIPE = 0, /* the plugin reads it, or writes it */
    PORTCULLIS_NULL,     /* it is thrown away; as input: end of file at once */
    PORTCULLIS_INHERIT,  /* it goes where the plugin's own goes; not for input */
    PORTCULLIS_MERGED,   /* standard error only: it goes where standard output goes */
};

/* A command. No shell is involved. All but argv may be left 0. */
struct portcullis_command {
    const char *const *argv;       /* the program and its arguments, and NULL; the program is looked for on the policy's path */
    const char *cwd;               /* NULL: the project directory */
    const char *const *env;        /* "NAME=value", and NULL: variables besides those that the policy gives */
    bool inherit_env;              /* also the host's own, as far as the policy lets it */
    struct portcullis_bytes input; /* its standard input, as a whole; of portcullis_run only */
    uint64_t timeout_ms;           /* 0: what the policy says, which a longer one does not change */
    const char *request_id;        /* what the plugin calls the work it is for, for the audit trail; at most 128 bytes */
    enum portcullis_stdio stdio[3]; /* standard input, output and error; of portcullis_start only */
};

/* A command with these words. They have to outlive the call in which it is used. */
#define PORTCULLIS_COMMAND(...) ((struct portcullis_command){.argv = (const char *const[]){__VA_ARGS__, NULL}})

/* What became of a command. */
struct portcullis_output {
    enum portcullis_error error; /* why it did not run; the rest says nothing then */
    int status;                  /* 0 is success. Its exit status; 128 + n for signal n, 124 for one whose time was over, 137 for
                                    one that the host killed, and -1 for one that did not run */
    int signal;                  /* the signal that ended it, or 0 */
    bool timed_out;              /* its time was over, and it was killed */
    const char *killed;          /* the limit at which the host killed it, such as "output", or NULL */
    struct portcullis_bytes out, err; /* what it wrote, also until it was killed */
    bool out_truncated, err_truncated; /* it wrote more, which is lost */
    uint64_t duration_ns;
};

/* Runs a command and waits for it. A status other than 0 is no error. */
struct portcullis_output portcullis_run(struct portcullis_command command);

/* Why a command was no success, for people: what it wrote to standard error, or how it ended, or why it did not run. NULL for
 * one that was. It chomps output->err. */
const char *portcullis_trouble(struct portcullis_output *output);

/* ---- Commands that run beside the plugin --------------------------------------------------------------------------------- */

/* A stream of a command, from its end. */
enum portcullis_stream { PORTCULLIS_OUT = 0, PORTCULLIS_ERR = 1 };

/* A command that runs. `error` is why a call that says so failed; all else is the header's own. */
struct portcullis_child {
    enum portcullis_error error;
    int number;
    bool over;
    struct portcullis_output output;
    struct portcullis__held {
        char *data;
        size_t start, end, room;
    } held[2];
};

/* Starts a command. It ends with the plugin, if it is not waited for. What it writes to one stream while another is read, or
 * written, is held in memory: a stream that is not to be read is better PORTCULLIS_NULL. */
enum portcullis_error portcullis_start(struct portcullis_command command, struct portcullis_child *child);

/* Gives it bytes to read, and waits until it takes them. False: nobody reads them any more, or child->error. */
bool portcullis_write(struct portcullis_child *child, const void *data, size_t length);

/* Ends its standard input. */
void portcullis_close(struct portcullis_child *child);

/* Waits for bytes of a stream and gives at most `size` of them. 0: the stream is at its end, or child->error. */
size_t portcullis_read(struct portcullis_child *child, enum portcullis_stream stream, void *data, size_t size);

/* Waits for a line and gives it without its line break. It is good until the next call with this child. False: there is none any
 * more, or child->error. */
bool portcullis_read_line(struct portcullis_child *child, enum portcullis_stream stream, struct portcullis_bytes *line);

/* Ends its standard input and waits for its end. `out` and `err` are what was not read before. */
struct portcullis_output portcullis_wait(struct portcullis_child *child);

/* Kills it and all that it started, and waits until they are gone. portcullis_wait then says signal 9, or how it had ended already,
 * where that was known. */
void portcullis_kill(struct portcullis_child *child);

/* ---- Files, beneath what `fs` grants ------------------------------------------------------------------------------------- */

/* A path is absolute, or relative to the project, or begins with a name that the policy gives a directory. */

enum portcullis_kind { PORTCULLIS_FILE, PORTCULLIS_DIRECTORY, PORTCULLIS_LINK, PORTCULLIS_OTHER };

struct portcullis_stat {
    enum portcullis_kind kind;
    uint64_t size;
    uint64_t modified_ns; /* since 1970; 0 where it is not known */
};

struct portcullis_entries {
    size_t count;
    struct portcullis_entry {
        char *name;
        enum portcullis_kind kind;
    } *at;
};

/* All of a file. */
enum portcullis_error portcullis_fs_read(const char *path, struct portcullis_bytes *content);
/* Makes a file or takes the place of one: whole or not at all. */
enum portcullis_error portcullis_fs_write(const char *path, struct portcullis_bytes content);
/* What is in a directory. */
enum portcullis_error portcullis_fs_list(const char *path, struct portcullis_entries *entries);
/* What is known of a name; of a link itself, and not of what it leads to. */
enum portcullis_error portcullis_fs_stat(const char *path, struct portcullis_stat *stat);
/* Makes one directory. */
enum portcullis_error portcullis_fs_mkdir(const char *path);
/* Removes a file, a link or an empty directory. */
enum portcullis_error portcullis_fs_remove(const char *path);
/* Gives what has a name another, and takes the place of what had that. */
enum portcullis_error portcullis_fs_rename(const char *from, const char *to);

/* ---- HTTP, to hosts that `http` grants ----------------------------------------------------------------------------------- */

struct portcullis_header {
    const char *name, *value;
};

struct portcullis_request {
    const char *method; /* NULL: GET */
    const char *url;    /* with its scheme */
    const struct portcullis_header *headers;
    size_t header_count;
    struct portcullis_bytes body;
    uint64_t timeout_ms; /* 0: what the policy says */
};

struct portcullis_response {
    int status;
    const struct portcullis_header *headers;
    size_t header_count;
    struct portcullis_bytes body;
    bool truncated; /* there was more, which is lost */
};

/* Sends a request and waits for the whole response, of any status. Redirects are not followed. */
enum portcullis_error portcullis_http_send(struct portcullis_request request, struct portcullis_response *response);

/* The first header of a name, in whatever case, or NULL. */
const char *portcullis_header(const struct portcullis_response *response, const char *name);

/* ---- Variables of the host, with an `env` grant -------------------------------------------------------------------------- */

/* The value of a variable. NULL: it is not set, or was not granted; these look alike. */
enum portcullis_error portcullis_env_get(const char *name, char **value);

/* ---- What the plugin keeps, with a `kv` grant ---------------------------------------------------------------------------- */

/* Each call is whole, and on disk when it returns. */

struct portcullis_keys {
    size_t count;
    char **at;
};

/* The value of a key; `data` is NULL where it has none. */
enum portcullis_error portcullis_kv_get(const char *key, struct portcullis_bytes *value);
/* Gives a key a value. */
enum portcullis_error portcullis_kv_set(const char *key, struct portcullis_bytes value);
/* Forgets a key. `existed`, which may be NULL: whether it had a value. */
enum portcullis_error portcullis_kv_delete(const char *key, bool *existed);
/* All keys that begin with a prefix, in the order of their bytes. */
enum portcullis_error portcullis_kv_list(const char *prefix, struct portcullis_keys *keys);
/* Gives a key a value if it has the expected one; NULL: if it has none. `swapped`: whether that was done. */
enum portcullis_error portcullis_kv_cas(const char *key, const struct portcullis_bytes *expected, struct portcullis_bytes value,
                                        bool *swapped);

/* ---- The operator -------------------------------------------------------------------------------------------------------- */

enum portcullis_level { PORTCULLIS_TRACE, PORTCULLIS_DEBUG, PORTCULLIS_INFO, PORTCULLIS_WARN, PORTCULLIS_ERROR };

/* A line for the operator, which takes no grant. */
void portcullis_log(enum portcullis_level level, const char *text);

/* Questions take no grant, since an answer is text. An id is what the operator answers it by beforehand (`--answer ID=VALUE`). */

/* A line of text. `def` is the answer where none is typed; NULL: there is no default. */
enum portcullis_error portcullis_prompt_text(const char *id, const char *message, const char *def, char **answer);
/* Yes or no. */
enum portcullis_error portcullis_prompt_confirm(const char *id, const char *message, bool def, bool *yes);
/* One of the options, which end with NULL, by its place. `def` is a place too; negative: there is no default. */
enum portcullis_error portcullis_prompt_choose(const char *id, const char *message, const char *const *options, int def,
                                               size_t *chosen);

struct portcullis_places {
    size_t count;
    size_t *at;
};

/* Some of the options, which end with NULL, by their places. `defaults` are those where none is typed. */
enum portcullis_error portcullis_prompt_choose_some(const char *id, const char *message, const char *const *options,
                                                    struct portcullis_places defaults, struct portcullis_places *chosen);

/* ---- JSON, as tools write it --------------------------------------------------------------------------------------------- */

enum portcullis_json_kind {
    PORTCULLIS_JSON_NULL,
    PORTCULLIS_JSON_BOOL,
    PORTCULLIS_JSON_NUMBER,
    PORTCULLIS_JSON_STRING,
    PORTCULLIS_JSON_ARRAY,
    PORTCULLIS_JSON_OBJECT,
};

/* A value. Members and elements are a list: value->first, and from there ->next. */
struct portcullis_json {
    enum portcullis_json_kind kind;
    bool truth;                       /* of PORTCULLIS_JSON_BOOL */
    struct portcullis_bytes text;     /* of a string without its escapes, or a number as it is written */
    size_t count;                     /* of members or elements */
    const struct portcullis_json *first, *next;
    struct portcullis_bytes name;     /* of a member */
};

/* How deep a value may be. */
#define PORTCULLIS_JSON_DEPTH 64

/* Reads one value of RFC 8259, which is copied first. NULL: it is none, or deeper than PORTCULLIS_JSON_DEPTH, or no UTF-8. */
const struct portcullis_json *portcullis_json_parse(struct portcullis_bytes text);

/* A member of an object: the first of that name. NULL if there is none, also where `object` is NULL or no object. */
const struct portcullis_json *portcullis_json_get(const struct portcullis_json *object, const char *name);

/* A number that is whole and fits. False: it is none. */
bool portcullis_json_integer(const struct portcullis_json *value, int64_t *number);

#endif /* PORTCULLIS_H */

#if defined(PORTCULLIS_PLUGIN) && !defined(PORTCULLIS__DEFINED)
#define PORTCULLIS__DEFINED

/* ---- The host ------------------------------------------------------------------------------------------------------------ */

/* Compilers know strlen and its like in loops; without a libc there is none to call. */
#if defined(__has_attribute)
#if __has_attribute(no_builtin)
#define PORTCULLIS__LOOP __attribute__((no_builtin))
#endif
#endif
#ifndef PORTCULLIS__LOOP
#define PORTCULLIS__LOOP
#endif

#ifdef __wasm__

#define PORTCULLIS__IMPORT(function) \
    __attribute__((import_module("portcullis:core/v1"), import_name(#function))) extern
#define PORTCULLIS__EXPORT(function) __attribute__((export_name(#function), used, visibility("default")))

/* An address in the upper half, and a length in the lower. */
typedef uint64_t portcullis__packed;

PORTCULLIS__IMPORT(log) void portcullis__host_log(int32_t level, portcullis__packed text);
PORTCULLIS__IMPORT(exec) portcullis__packed portcullis__host_exec(portcullis__packed request);
PORTCULLIS__IMPORT(exec_start) portcullis__packed portcullis__host_exec_start(portcullis__packed request);
PORTCULLIS__IMPORT(exec_write) int64_t portcullis__host_exec_write(int32_t child, portcullis__packed bytes);
PORTCULLIS__IMPORT(exec_poll) portcullis__packed portcullis__host_exec_poll(int32_t child, int64_t timeout_ms);
PORTCULLIS__IMPORT(exec_cancel) int64_t portcullis__host_exec_cancel(int32_t child);
PORTCULLIS__IMPORT(fs_read) portcullis__packed portcullis__host_fs_read(portcullis__packed request);
PORTCULLIS__IMPORT(fs_write) portcullis__packed portcullis__host_fs_write(portcullis__packed request);
PORTCULLIS__IMPORT(fs_entries) portcullis__packed portcullis__host_fs_entries(portcullis__packed request);
PORTCULLIS__IMPORT(fs_stat) portcullis__packed portcullis__host_fs_stat(portcullis__packed request);
PORTCULLIS__IMPORT(fs_make_directory) portcullis__packed portcullis__host_fs_make_directory(portcullis__packed request);
PORTCULLIS__IMPORT(fs_remove) portcullis__packed portcullis__host_fs_remove(portcullis__packed request);
PORTCULLIS__IMPORT(fs_rename) portcullis__packed portcullis__host_fs_rename(portcullis__packed request);
PORTCULLIS__IMPORT(kv_get) portcullis__packed portcullis__host_kv_get(portcullis__packed request);
PORTCULLIS__IMPORT(kv_set) portcullis__packed portcullis__host_kv_set(portcullis__packed request);
PORTCULLIS__IMPORT(kv_delete) portcullis__packed portcullis__host_kv_delete(portcullis__packed request);
PORTCULLIS__IMPORT(kv_list) portcullis__packed portcullis__host_kv_list(portcullis__packed request);
PORTCULLIS__IMPORT(kv_compare_and_swap) portcullis__packed portcullis__host_kv_compare_and_swap(portcullis__packed request);
PORTCULLIS__IMPORT(http_send) portcullis__packed portcullis__host_http_send(portcullis__packed request);
PORTCULLIS__IMPORT(env_get) portcullis__packed portcullis__host_env_get(portcullis__packed request);
PORTCULLIS__IMPORT(prompt_text) portcullis__packed portcullis__host_prompt_text(portcullis__packed request);
PORTCULLIS__IMPORT(prompt_confirm) portcullis__packed portcullis__host_prompt_confirm(portcullis__packed request);
PORTCULLIS__IMPORT(prompt_choose) portcullis__packed portcullis__host_prompt_choose(portcullis__packed request);
PORTCULLIS__IMPORT(prompt_choose_some) portcullis__packed portcullis__host_prompt_choose_some(portcullis__packed request);

static portcullis__packed portcullis__pack(struct portcullis_bytes bytes)
{
    return (portcullis__packed)(uintptr_t)bytes.data << 32 | bytes.length;
}

static struct portcullis_bytes portcullis__unpack(portcullis__packed packed)
{
    return (struct portcullis_bytes){(char *)(uintptr_t)(packed >> 32), (size_t)(uint32_t)packed};
}

#define PORTCULLIS__CALL(function, request) portcullis__unpack(portcullis__host_##function(portcullis__pack(request)))
#define PORTCULLIS__LOG(level, text) portcullis__host_log(level, portcullis__pack(text))
#define PORTCULLIS__WRITE(child, bytes) portcullis__host_exec_write(child, portcullis__pack(bytes))
#define PORTCULLIS__POLL(child, timeout_ms) portcullis__unpack(portcullis__host_exec_poll(child, timeout_ms))
#define PORTCULLIS__CANCEL(child) portcullis__host_exec_cancel(child)

#else /* A native build, which has no host: a test is the host, and defines these. */

/* Answers a request, in memory of portcullis_allocate. */
struct portcullis_bytes portcullis_host(const char *function, int32_t child, struct portcullis_bytes request);
/* The same for functions whose answer is a number; `child` is the level of `log`. */
int64_t portcullis_host_number(const char *function, int32_t child, struct portcullis_bytes bytes);
#define PORTCULLIS__EXPORT(function)
#define PORTCULLIS__CALL(function, request) portcullis_host(#function, 0, request)
#define PORTCULLIS__LOG(level, text) ((void)portcullis_host_number("log", level, text))
#define PORTCULLIS__WRITE(child, bytes) portcullis_host_number("exec_write", child, bytes)
#define PORTCULLIS__POLL(child, timeout_ms) portcullis_host("exec_poll", child, (struct portcullis_bytes){0})
#define PORTCULLIS__CANCEL(child) portcullis_host_number("exec_cancel", child, (struct portcullis_bytes){0})

#endif

/* ---- The arena ----------------------------------------------------------------------------------------------------------- */

#if defined(__wasm__) && !defined(__wasi__)

/* What the memory was grown by. */
static char *portcullis__begin, *portcullis__at, *portcullis__end;

/* NULL if there is no more memory. */
static char *portcullis__reserve(size_t size)
{
    const size_t page = 65536, least = 16;
    if (size > SIZE_MAX - page)
        return NULL;
    size = (size + 15) / 16 * 16;
    if (size > (size_t)(portcullis__end - portcullis__at)) {
        size_t pages = (size + page - 1) / page;
        pages = pages < least ? least : pages;
        size_t before = __builtin_wasm_memory_grow(0, pages);
        if (before == SIZE_MAX)
            return NULL;
        char *grown = (char *)(before * page);
        /* Unless the plugin grows its memory itself, it goes on where it ended. */
        if (grown != portcullis__end)
            portcullis__begin = portcullis__at = grown;
        portcullis__end = grown + pages * page;
    }
    char *room = portcullis__at;
    portcullis__at += size;
    return room;
}

/* Where the arena is now. */
static char *portcullis__mark(void) { return portcullis__at; }

/* Back to there: what was reserved since then is given up. */
static void portcullis__release(char *mark)
{
    if (mark >= portcullis__begin && mark <= portcullis__at)
        portcullis__at = mark;
}

/* Empties the arena. */
static void portcullis_reset(void) { portcullis__at = portcullis__begin; }

#else /* With a libc the memory is its own. In a test, a sanitizer sees where each piece ends. */

#include <stdlib.h>

static union portcullis__piece {
    union portcullis__piece *next;
    max_align_t align;
} *portcullis__pieces;

static char *portcullis__reserve(size_t size)
{
    union portcullis__piece *piece = size < SIZE_MAX - sizeof *piece ? malloc(sizeof *piece + size) : NULL;
    if (!piece)
        return NULL;
    piece->next = portcullis__pieces;
    portcullis__pieces = piece;
    return (char *)(piece + 1);
}

static char *portcullis__mark(void) { return (char *)portcullis__pieces; }

static void portcullis__release(char *mark)
{
    while ((char *)portcullis__pieces != mark) {
        union portcullis__piece *next = portcullis__pieces->next;
        free(portcullis__pieces);
        portcullis__pieces = next;
    }
}

/* Empties the arena, as the next call of the plugin does. */
__attribute__((unused)) static void portcullis_reset(void) { portcullis__release(NULL); }

#endif

void *portcullis_allocate(size_t size)
{
    void *room = portcullis__reserve(size);
    if (!room)
        portcullis_abort("out of memory");
    return room;
}

/* Room for `count` of `size` bytes each. */
static void *portcullis__array(size_t count, size_t size)
{
    if (count > SIZE_MAX / size)
        portcullis_abort("out of memory");
    return portcullis_allocate(count * size);
}

PORTCULLIS__LOOP static void portcullis__copy(char *to, const char *from, size_t length)
{
    /* An instruction in WebAssembly. */
    if (length)
        __builtin_memcpy(to, from, length);
}

PORTCULLIS__LOOP static size_t portcullis__length(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

PORTCULLIS__LOOP static bool portcullis__equal(struct portcullis_bytes bytes, const char *text)
{
    size_t at = 0;
    while (at < bytes.length && text[at] && bytes.data[at] == text[at])
        at++;
    return at == bytes.length && !text[at];
}

bool portcullis_same(const char *one, const char *other) { return portcullis__equal(portcullis_text(one), other); }

struct portcullis_bytes portcullis_text(const char *text)
{
    return (struct portcullis_bytes){(char *)(uintptr_t)text, portcullis__length(text)};
}

char *portcullis_chomp(struct portcullis_bytes bytes)
{
    while (bytes.length && (bytes.data[bytes.length - 1] == '\n' || bytes.data[bytes.length - 1] == '\r'))
        bytes.data[--bytes.length] = 0;
    return bytes.data;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------------- */

/* Text that is made piece by piece, with a NUL behind it. */
struct portcullis__writer {
    char *data;
    size_t length, room;
    bool lossy;   /* what is not UTF-8 is replaced */
    bool invalid; /* or has been seen */
};

/* Makes room for so much more and a NUL. */
static void portcullis__make_room(struct portcullis__writer *to, size_t more)
{
    if (more < to->room - to->length)
        return;
    if (more > SIZE_MAX / 4 || to->room > SIZE_MAX / 4)
        portcullis_abort("out of memory");
    size_t room = to->room * 2 + more + 64;
    char *data = portcullis_allocate(room);
    portcullis__copy(data, to->data, to->length);
    to->data = data;
    to->room = room;
}

static void portcullis__put(struct portcullis__writer *to, const char *from, size_t length)
{
    portcullis__make_room(to, length);
    portcullis__copy(to->data + to->length, from, length);
    to->length += length;
    to->data[to->length] = 0;
}

static void portcullis__put_text(struct portcullis__writer *to, const char *text)
{
    portcullis__put(to, text, portcullis__length(text));
}

static void portcullis__put_number(struct portcullis__writer *to, uint64_t number, unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    portcullis__put(to, digits + at, sizeof digits - at);
}

/* Bytes of the character that begins here, or 0 if it is no UTF-8: RFC 3629, without surrogates and overlong forms. */
static size_t portcullis__character(const char *at, size_t left)
{
    const unsigned char *b = (const unsigned char *)at;
    if (left == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xc2 || b[0] > 0xf4)
        return 0;
    size_t length = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    unsigned char least = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char most = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    if (b[1] < least || b[1] > most)
        return 0;
    for (size_t next = 2; next < length; next++)
        if (b[next] < 0x80 || b[next] > 0xbf)
            return 0;
    return length;
}

/* A string of JSON. */
static void portcullis__put_string(struct portcullis__writer *to, struct portcullis_bytes text)
{
    portcullis__put(to, "\"", 1);
    for (size_t at = 0; at < text.length;) {
        unsigned char c = (unsigned char)text.data[at];
        size_t length = portcullis__character(text.data + at, text.length - at);
        if (length == 0) {
            to->invalid = true;
            portcullis__put_text(to, "\xef\xbf\xbd");
            at++;
        } else if (c < ' ') {
            char escape[] = "\\u0000";
            escape[4] = (char)('0' + c / 16);
            escape[5] = "0123456789abcdef"[c % 16];
            portcullis__put(to, escape, 6);
            at++;
        } else {
            if (c == '"' || c == '\\')
                portcullis__put(to, "\\", 1);
            portcullis__put(to, text.data + at, length);
            at += length;
        }
    }
    portcullis__put(to, "\"", 1);
}

/* The name of the next member of an object. */
static void portcullis__member(struct portcullis__writer *to, const char *name)
{
    portcullis__put_text(to, to->length ? ",\"" : "{\"");
    portcullis__put_text(to, name);
    portcullis__put_text(to, "\":");
}

static void portcullis__member_text(struct portcullis__writer *to, const char *name, const char *text)
{
    if (!text)
        return;
    portcullis__member(to, name);
    portcullis__put_string(to, portcullis_text(text));
}

static void portcullis__member_number(struct portcullis__writer *to, const char *name, uint64_t number)
{
    portcullis__member(to, name);
    portcullis__put_number(to, number, 10);
}

/* 0 is no time. */
static void portcullis__member_time(struct portcullis__writer *to, const char *name, uint64_t milliseconds)
{
    const uint64_t most = UINT64_MAX / 1000000;
    if (milliseconds)
        portcullis__member_number(to, name, (milliseconds < most ? milliseconds : most) * 1000000);
}

static void portcullis__member_words(struct portcullis__writer *to, const char *name, const char *const *words)
{
    portcullis__member(to, name);
    portcullis__put(to, "[", 1);
    for (size_t at = 0; words && words[at]; at++) {
        if (at)
            portcullis__put(to, ",", 1);
        portcullis__put_string(to, portcullis_text(words[at]));
    }
    portcullis__put(to, "]", 1);
}

static const char portcullis__base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void portcullis__member_bytes(struct portcullis__writer *to, const char *name, struct portcullis_bytes bytes)
{
    portcullis__member(to, name);
    if (bytes.length > SIZE_MAX / 2)
        portcullis_abort("out of memory");
    portcullis__make_room(to, bytes.length / 3 * 4 + 6);
    char *out = to->data + to->length;
    const unsigned char *from = (const unsigned char *)bytes.data;
    *out++ = '"';
    for (size_t at = 0; at < bytes.length; at += 3) {
        size_t left = bytes.length - at;
        uint32_t bits = (uint32_t)from[at] << 16;
        if (left > 1)
            bits |= (uint32_t)from[at + 1] << 8;
        if (left > 2)
            bits |= from[at + 2];
        *out++ = portcullis__base64[bits >> 18];
        *out++ = portcullis__base64[bits >> 12 & 63];
        *out++ = left > 1 ? portcullis__base64[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? portcullis__base64[bits & 63] : '=';
    }
    *out++ = '"';
    *out = 0;
    to->length = (size_t)(out - to->data);
}

char *portcullis_format(const char *format, ...)
{
    struct portcullis__writer to = {0};
    va_list values;
    va_start(values, format);
    portcullis__put(&to, "", 0);
    for (const char *at = format; *at; at++) {
        if (*at != '%') {
            portcullis__put(&to, at, 1);
            continue;
        }
        bool bounded = at[1] == '.' && at[2] == '*';
        int most = 0;
        if (bounded) {
            most = va_arg(values, int);
            bounded = most >= 0;
            at += 2;
        }
        int width = 0; /* 1 for `l`, 2 for `ll`, 3 for `z` */
        for (at++; *at == 'l' || *at == 'z'; at++)
            width = *at == 'z' ? 3 : width + 1;
        if (*at == '%') {
            portcullis__put(&to, "%", 1);
        } else if (*at == 'c') {
            char c = (char)va_arg(values, int);
            portcullis__put(&to, &c, 1);
        } else if (*at == 's') {
            const char *text = va_arg(values, const char *);
            size_t length = 0;
            text = text ? text : "(null)";
            while ((!bounded || length < (size_t)most) && text[length])
                length++;
            portcullis__put(&to, text, length);
        } else if (*at == 'd') {
            int64_t number = width == 0   ? va_arg(values, int)
                             : width == 1 ? va_arg(values, long)
                             : width == 2 ? va_arg(values, long long)
                                          : va_arg(values, ptrdiff_t);
            if (number < 0)
                portcullis__put(&to, "-", 1);
            portcullis__put_number(&to, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10);
        } else if (*at == 'u' || *at == 'x') {
            uint64_t number = width == 0   ? va_arg(values, unsigned)
                              : width == 1 ? va_arg(values, unsigned long)
                              : width == 2 ? va_arg(values, unsigned long long)
                                           : va_arg(values, size_t);
            portcullis__put_number(&to, number, *at == 'x' ? 16 : 10);
        } else {
            portcullis_abort("portcullis_format knows no such directive");
        }
    }
    va_end(values);
    return to.data;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------------- */

/* Strings are read in place: without its escapes none is longer, and its last quote is where its NUL goes. */
struct portcullis__reader {
    char *at, *end;
};

static void portcullis__space(struct portcullis__reader *from)
{
    while (from->at < from->end && (*from->at == ' ' || *from->at == '\t' || *from->at == '\n' || *from->at == '\r'))
        from->at++;
}

/* Whether this is what comes next; then it is passed. */
static bool portcullis__take(struct portcullis__reader *from, const char *word)
{
    size_t length = portcullis__length(word);
    if ((size_t)(from->end - from->at) < length || !portcullis__equal((struct portcullis_bytes){from->at, length}, word))
        return false;
    from->at += length;
    return true;
}

/* Four hexadecimal digits, or -1. */
static int32_t portcullis__hex(struct portcullis__reader *from)
{
    int32_t unit = 0;
    if (from->end - from->at < 4)
        return -1;
    for (int digit = 0; digit < 4; digit++) {
        char c = *from->at++;
        if (c >= '0' && c <= '9')
            unit = unit * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            unit = unit * 16 + (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            unit = unit * 16 + (c - 'A' + 10);
        else
            return -1;
    }
    return unit;
}

/* What follows `\u`, as UTF-8. A surrogate is half of a pair, or nothing. */
static bool portcullis__escaped(struct portcullis__reader *from, char **to)
{
    int32_t c = portcullis__hex(from);
    if (c < 0 || (c >= 0xdc00 && c <= 0xdfff))
        return false;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!portcullis__take(from, "\\u"))
            return false;
        int32_t low = portcullis__hex(from);
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c < 0x80) {
        *(*to)++ = (char)c;
        return true;
    }
    if (c < 0x800) {
        *(*to)++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *(*to)++ = (char)(0xe0 | c >> 12);
        } else {
            *(*to)++ = (char)(0xf0 | c >> 18);
            *(*to)++ = (char)(0x80 | (c >> 12 & 63));
        }
        *(*to)++ = (char)(0x80 | (c >> 6 & 63));
    }
    *(*to)++ = (char)(0x80 | (c & 63));
    return true;
}

static bool portcullis__string(struct portcullis__reader *from, struct portcullis_bytes *text)
{
    if (!portcullis__take(from, "\""))
        return false;
    char *to = text->data = from->at;
    while (from->at < from->end && *from->at != '"') {
        if (*from->at == '\\') {
            static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
            if (++from->at == from->end)
                return false;
            char c = *from->at++;
            if (c == 'u') {
                if (!portcullis__escaped(from, &to))
                    return false;
                continue;
            }
            size_t which = 0;
            while (names[which] && names[which] != c)
                which++;
            if (!names[which])
                return false;
            *to++ = meant[which];
            continue;
        }
        size_t length = portcullis__character(from->at, (size_t)(from->end - from->at));
        if (length == 0 || (unsigned char)*from->at < ' ')
            return false;
        while (length--)
            *to++ = *from->at++;
    }
    if (from->at == from->end)
        return false;
    from->at++;
    *to = 0;
    text->length = (size_t)(to - text->data);
    return true;
}

static bool portcullis__digits(struct portcullis__reader *from)
{
    char *start = from->at;
    while (from->at < from->end && *from->at >= '0' && *from->at <= '9')
        from->at++;
    return from->at > start;
}

static bool portcullis__number(struct portcullis__reader *from, struct portcullis_bytes *text)
{
    char *start = from->at;
    portcullis__take(from, "-");
    if (!portcullis__take(from, "0") && !portcullis__digits(from))
        return false;
    if (portcullis__take(from, ".") && !portcullis__digits(from))
        return false;
    if (portcullis__take(from, "e") || portcullis__take(from, "E")) {
        if (!portcullis__take(from, "+"))
            portcullis__take(from, "-");
        if (!portcullis__digits(from))
            return false;
    }
    text->length = (size_t)(from->at - start);
    text->data = portcullis_allocate(text->length + 1);
    portcullis__copy(text->data, start, text->length);
    text->data[text->length] = 0;
    return true;
}

static struct portcullis_json *portcullis__value(struct portcullis__reader *from, unsigned depth);

/* What is between brackets. */
static bool portcullis__list(struct portcullis__reader *from, struct portcullis_json *value, unsigned depth)
{
    bool object = value->kind == PORTCULLIS_JSON_OBJECT;
    const char *close = object ? "}" : "]";
    const struct portcullis_json **link = &value->first;
    portcullis__space(from);
    if (portcullis__take(from, close))
        return true;
    do {
        struct portcullis_bytes name = {0};
        portcullis__space(from);
        if (object) {
            if (!portcullis__string(from, &name))
                return false;
            portcullis__space(from);
            if (!portcullis__take(from, ":"))
                return false;
        }
        struct portcullis_json *next = portcullis__value(from, depth);
        if (!next)
            return false;
        next->name = name;
        *link = next;
        link = &next->next;
        value->count++;
        portcullis__space(from);
    } while (portcullis__take(from, ","));
    return portcullis__take(from, close);
}

static struct portcullis_json *portcullis__value(struct portcullis__reader *from, unsigned depth)
{
    struct portcullis_json *value = portcullis_allocate(sizeof *value);
    *value = (struct portcullis_json){0};
    portcullis__space(from);
    if (from->at == from->end || depth == 0)
        return NULL;
    bool good = true;
    if (*from->at == '"') {
        value->kind = PORTCULLIS_JSON_STRING;
        good = portcullis__string(from, &value->text);
    } else if (portcullis__take(from, "{")) {
        value->kind = PORTCULLIS_JSON_OBJECT;
        good = portcullis__list(from, value, depth - 1);
    } else if (portcullis__take(from, "[")) {
        value->kind = PORTCULLIS_JSON_ARRAY;
        good = portcullis__list(from, value, depth - 1);
    } else if (portcullis__take(from, "true")) {
        value->kind = PORTCULLIS_JSON_BOOL;
        value->truth = true;
    } else if (portcullis__take(from, "false")) {
        value->kind = PORTCULLIS_JSON_BOOL;
    } else if (!portcullis__take(from, "null")) {
        value->kind = PORTCULLIS_JSON_NUMBER;
        good = portcullis__number(from, &value->text);
    }
    return good ? value : NULL;
}

/* Reads a value in place. */
static const struct portcullis_json *portcullis__parse(struct portcullis_bytes text)
{
    struct portcullis__reader from = {text.data, text.data + text.length};
    const struct portcullis_json *value = portcullis__value(&from, PORTCULLIS_JSON_DEPTH);
    portcullis__space(&from);
    return from.at == from.end ? value : NULL;
}

const struct portcullis_json *portcullis_json_parse(struct portcullis_bytes text)
{
    char *copy = portcullis_allocate(text.length);
    portcullis__copy(copy, text.data, text.length);
    return portcullis__parse((struct portcullis_bytes){copy, text.length});
}

const struct portcullis_json *portcullis_json_get(const struct portcullis_json *object, const char *name)
{
    if (!object || object->kind != PORTCULLIS_JSON_OBJECT)
        return NULL;
    for (const struct portcullis_json *member = object->first; member; member = member->next)
        if (portcullis__equal(member->name, name))
            return member;
    return NULL;
}

/* The digits of a whole number that is not negative, and fits. */
static bool portcullis__natural(const struct portcullis_json *value, uint64_t *number)
{
    if (!value || value->kind != PORTCULLIS_JSON_NUMBER)
        return false;
    uint64_t sum = 0;
    for (size_t at = 0; at < value->text.length; at++) {
        char c = value->text.data[at];
        if (c < '0' || c > '9' || sum > (UINT64_MAX - (uint64_t)(c - '0')) / 10)
            return false;
        sum = sum * 10 + (uint64_t)(c - '0');
    }
    *number = sum;
    return true;
}

bool portcullis_json_integer(const struct portcullis_json *value, int64_t *number)
{
    if (!value || value->kind != PORTCULLIS_JSON_NUMBER)
        return false;
    struct portcullis_json digits = *value;
    bool negative = digits.text.data[0] == '-';
    uint64_t size;
    digits.text.data += negative;
    digits.text.length -= negative;
    if (!portcullis__natural(&digits, &size) || size > (uint64_t)INT64_MAX + negative)
        return false;
    *number = !negative ? (int64_t)size : size == 0 ? 0 : -1 - (int64_t)(size - 1);
    return true;
}

/* A string without a NUL in it. */
static bool portcullis__is_text(const struct portcullis_json *value)
{
    return value && value->kind == PORTCULLIS_JSON_STRING && portcullis__length(value->text.data) == value->text.length;
}

static int portcullis__sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* What a string of base64 stands for, in its place. */
static bool portcullis__bytes(const struct portcullis_json *value, struct portcullis_bytes *bytes)
{
    if (!value || value->kind != PORTCULLIS_JSON_STRING || value->text.length % 4 != 0)
        return false;
    const char *from = value->text.data, *end = from + value->text.length;
    char *to = value->text.data;
    while (from < end) {
        unsigned pad = end - from > 4 || from[3] != '=' ? 0 : from[2] != '=' ? 1 : 2;
        uint32_t bits = 0;
        for (unsigned at = 0; at < 4; at++) {
            int sextet = at >= 4 - pad ? 0 : portcullis__sextet(from[at]);
            if (sextet < 0)
                return false;
            bits = bits << 6 | (uint32_t)sextet;
        }
        /* What is padded has no bits of its own. */
        if (bits & ((1u << 8 * pad) - 1))
            return false;
        *to++ = (char)(bits >> 16);
        if (pad < 2)
            *to++ = (char)(bits >> 8);
        if (pad < 1)
            *to++ = (char)bits;
        from += 4;
    }
    bytes->length = (size_t)(to - value->text.data);
    bytes->data = value->text.data;
    *to = 0;
    return true;
}

/* ---- Requests and answers ------------------------------------------------------------------------------------------------ */

static const char *const portcullis__words[] = {
    "done",           "denied",    "not found", "exists", "not empty", "not a file", "not a directory", "too large",
    "full",           "limit",     "timed out", "nobody", "invalid",   "io",
};

const char *portcullis_error_text(enum portcullis_error error)
{
    size_t count = sizeof portcullis__words / sizeof *portcullis__words;
    return portcullis__words[(size_t)error < count ? (size_t)error : (size_t)PORTCULLIS_IO];
}

/* The error of this kind, as the host writes it: with `-` between words. */
static enum portcullis_error portcullis__error_of(const struct portcullis_json *kind)
{
    if (!kind || kind->kind != PORTCULLIS_JSON_STRING)
        return PORTCULLIS_IO;
    for (int error = PORTCULLIS_DENIED; error < PORTCULLIS_IO; error++) {
        const char *word = portcullis__words[error];
        size_t at = 0;
        while (at < kind->text.length && word[at] && kind->text.data[at] == (word[at] == ' ' ? '-' : word[at]))
            at++;
        if (at == kind->text.length && !word[at])
            return (enum portcullis_error)error;
    }
    return PORTCULLIS_IO;
}

/* What the host answered. What is no answer is taken for a failure of the host. */
static enum portcullis_error portcullis__answered(struct portcullis_bytes answer, const struct portcullis_json **ok)
{
    if (!answer.data)
        portcullis_abort("out of memory");
    const struct portcullis_json *whole = portcullis__parse(answer);
    *ok = portcullis_json_get(whole, "ok");
    if (*ok)
        return PORTCULLIS_DONE;
    return portcullis__error_of(portcullis_json_get(portcullis_json_get(whole, "error"), "kind"));
}

/* Ends a request. */
static struct portcullis_bytes portcullis__written(struct portcullis__writer *request)
{
    portcullis__put(request, request->length ? "}" : "{}", request->length ? 1 : 2);
    return (struct portcullis_bytes){request->data, request->length};
}

#define PORTCULLIS__ASK(function, request, ok)         \
    ((request)->invalid ? PORTCULLIS_INVALID           \
                        : portcullis__answered(PORTCULLIS__CALL(function, portcullis__written(request)), ok))

/* ---- Commands ------------------------------------------------------------------------------------------------------------ */

/* What both ways of running a command ask for. */
static void portcullis__put_command(struct portcullis__writer *to, const struct portcullis_command *command)
{
    const char *const *argv = command->argv;
    if (!argv || !argv[0]) {
        to->invalid = true;
        return;
    }
    portcullis__member_text(to, "program", argv[0]);
    portcullis__member_words(to, "args", argv + 1);
    portcullis__member_text(to, "cwd", command->cwd);
    portcullis__member(to, "env");
    portcullis__put(to, "[", 1);
    for (size_t at = 0; command->env && command->env[at]; at++) {
        const char *name = command->env[at];
        size_t length = 0;
        while (name[length] && name[length] != '=')
            length++;
        if (!name[length]) {
            to->invalid = true;
            return;
        }
        portcullis__put_text(to, at ? ",[" : "[");
        portcullis__put_string(to, (struct portcullis_bytes){(char *)(uintptr_t)name, length});
        portcullis__put(to, ",", 1);
        portcullis__put_string(to, portcullis_text(name + length + 1));
        portcullis__put(to, "]", 1);
    }
    portcullis__put(to, "]", 1);
    portcullis__member(to, "inherit-env");
    portcullis__put_text(to, command->inherit_env ? "true" : "false");
    portcullis__member_time(to, "timeout", command->timeout_ms);
    portcullis__member_text(to, "request-id", command->request_id);
}

static struct portcullis_output portcullis__not_run(enum portcullis_error error)
{
    static char none[1];
    struct portcullis_bytes empty = {none, 0};
    int status = error == PORTCULLIS_DONE ? 0 : -1;
    return (struct portcullis_output){.error = error, .status = status, .out = empty, .err = empty};
}

static bool portcullis__true(const struct portcullis_json *value) { return value && value->truth; }

/* How it ended, of an answer or an outcome. */
static struct portcullis_output portcullis__ended(const struct portcullis_json *outcome)
{
    struct portcullis_output output = portcullis__not_run(PORTCULLIS_DONE);
    const struct portcullis_json *exit = portcullis_json_get(outcome, "exit");
    const struct portcullis_json *kind = portcullis_json_get(exit, "kind");
    const struct portcullis_json *reason = portcullis_json_get(exit, "reason");
    uint64_t number = 0;
    if (!portcullis__is_text(kind))
        return portcullis__not_run(PORTCULLIS_IO);
    if (portcullis_same(kind->text.data, "exited") && portcullis__natural(portcullis_json_get(exit, "code"), &number) &&
        number < 256) {
        output.status = (int)number;
    } else if (portcullis_same(kind->text.data, "signalled") &&
               portcullis__natural(portcullis_json_get(exit, "signal"), &number) && number < 128) {
        output.signal = (int)number;
        output.status = 128 + output.signal;
    } else if (portcullis_same(kind->text.data, "timed-out")) {
        output.timed_out = true;
        output.status = 124;
    } else if (portcullis_same(kind->text.data, "killed")) {
        output.killed = portcullis__is_text(reason) ? reason->text.data : "limit";
        output.status = 137;
    } else {
        return portcullis__not_run(PORTCULLIS_IO);
    }
    output.out_truncated = portcullis__true(portcullis_json_get(outcome, "stdout-truncated"));
    output.err_truncated = portcullis__true(portcullis_json_get(outcome, "stderr-truncated"));
    portcullis__natural(portcullis_json_get(outcome, "duration"), &output.duration_ns);
    return output;
}

struct portcullis_output portcullis_run(struct portcullis_command command)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__put_command(&request, &command);
    if (command.input.length)
        portcullis__member_bytes(&request, "stdin", command.input);
    enum portcullis_error error = PORTCULLIS__ASK(exec, &request, &ok);
    if (error)
        return portcullis__not_run(error);
    struct portcullis_output output = portcullis__ended(ok);
    if (!portcullis__bytes(portcullis_json_get(ok, "stdout"), &output.out) ||
        !portcullis__bytes(portcullis_json_get(ok, "stderr"), &output.err))
        return portcullis__not_run(PORTCULLIS_IO);
    return output;
}

const char *portcullis_trouble(struct portcullis_output *output)
{
    if (output->error)
        return portcullis_error_text(output->error);
    if (output->status == 0)
        return NULL;
    const char *said = portcullis_chomp(output->err);
    if (*said)
        return said;
    if (output->timed_out)
        return "timed out";
    if (output->killed)
        return portcullis_format("killed: %s", output->killed);
    if (output->signal)
        return portcullis_format("signal %d", output->signal);
    return portcullis_format("exit status %d", output->status);
}

enum portcullis_error portcullis_start(struct portcullis_command command, struct portcullis_child *child)
{
    static const char *const ways[] = {"pipe", "null", "inherit", "merged"};
    static const char *const streams[] = {"{\"stdin\":\"", ",\"stdout\":\"", ",\"stderr\":\""};
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    uint64_t number;
    portcullis__put_command(&request, &command);
    portcullis__member(&request, "stdio");
    for (int stream = 0; stream < 3; stream++) {
        if ((unsigned)command.stdio[stream] > PORTCULLIS_MERGED)
            return PORTCULLIS_INVALID;
        portcullis__put_text(&request, streams[stream]);
        portcullis__put_text(&request, ways[command.stdio[stream]]);
        portcullis__put(&request, "\"", 1);
    }
    portcullis__put(&request, "}", 1);
    enum portcullis_error error = PORTCULLIS__ASK(exec_start, &request, &ok);
    if (error)
        return error;
    if (!portcullis__natural(portcullis_json_get(ok, "child"), &number) || number > INT32_MAX)
        return PORTCULLIS_IO;
    *child = (struct portcullis_child){.number = (int)number, .output = portcullis__not_run(PORTCULLIS_DONE)};
    return PORTCULLIS_DONE;
}

/* What one look gives of a stream at most. */
#define PORTCULLIS__CHUNK 65536

/* Makes room for what a look may give, and for a NUL. */
static void portcullis__hold(struct portcullis__held *held)
{
    if (held->room - held->end > PORTCULLIS__CHUNK)
        return;
    size_t length = held->end - held->start;
    char *data = held->data;
    if (held->room / 2 < length + PORTCULLIS__CHUNK + 1) {
        if (held->room > SIZE_MAX / 4)
            portcullis_abort("out of memory");
        held->room = held->room * 2 + 2 * (PORTCULLIS__CHUNK + 1);
        data = portcullis_allocate(held->room);
    }
    if (length)
        __builtin_memmove(data, held->data + held->start, length);
    held->data = data;
    held->start = 0;
    held->end = length;
}

static bool portcullis__add(struct portcullis__held *held, const struct portcullis_json *polled)
{
    struct portcullis_bytes bytes;
    if (!portcullis__bytes(polled, &bytes) || bytes.length > PORTCULLIS__CHUNK)
        return false;
    portcullis__copy(held->data + held->end, bytes.data, bytes.length);
    held->end += bytes.length;
    return true;
}

static void portcullis__lost(struct portcullis_child *child, enum portcullis_error error)
{
    child->error = error;
    child->over = true;
    child->output = portcullis__not_run(error);
}

/* Looks what became of the command. */
static void portcullis__look(struct portcullis_child *child, int64_t timeout_ms)
{
    const struct portcullis_json *ok;
    portcullis__hold(&child->held[0]);
    portcullis__hold(&child->held[1]);
    /* What is made to read the answer is not kept: a plugin may read much more than it has memory. */
    char *mark = portcullis__mark();
    (void)timeout_ms; /* A native build has no time. */
    enum portcullis_error error = portcullis__answered(PORTCULLIS__POLL(child->number, timeout_ms), &ok);
    if (!error && (!portcullis__add(&child->held[0], portcullis_json_get(ok, "stdout")) ||
                   !portcullis__add(&child->held[1], portcullis_json_get(ok, "stderr"))))
        error = PORTCULLIS_IO;
    if (error) {
        portcullis__lost(child, error);
        return;
    }
    const struct portcullis_json *outcome = portcullis_json_get(ok, "outcome");
    if (outcome && outcome->kind == PORTCULLIS_JSON_OBJECT) {
        const struct portcullis_json *failed = portcullis_json_get(outcome, "error");
        child->over = true;
        child->output = failed ? portcullis__not_run(portcullis__error_of(portcullis_json_get(failed, "kind")))
                               : portcullis__ended(outcome);
        return; /* Its reason lies behind the mark. */
    }
    portcullis__release(mark);
}

bool portcullis_write(struct portcullis_child *child, const void *data, size_t length)
{
    struct portcullis_bytes bytes = {(char *)(uintptr_t)data, length};
    while (bytes.length && !child->over) {
        int64_t taken = PORTCULLIS__WRITE(child->number, bytes);
        if (taken < 0 || (uint64_t)taken > bytes.length)
            return false;
        bytes.data += taken;
        bytes.length -= (size_t)taken;
        if (bytes.length)
            portcullis__look(child, -1);
    }
    return bytes.length == 0;
}

void portcullis_close(struct portcullis_child *child)
{
    if (!child->over)
        (void)PORTCULLIS__WRITE(child->number, (struct portcullis_bytes){0});
}

size_t portcullis_read(struct portcullis_child *child, enum portcullis_stream stream, void *data, size_t size)
{
    struct portcullis__held *held = &child->held[stream];
    while (held->start == held->end && !child->over)
        portcullis__look(child, -1);
    size_t length = held->end - held->start;
    length = length < size ? length : size;
    if (length)
        portcullis__copy(data, held->data + held->start, length);
    held->start += length;
    return length;
}

bool portcullis_read_line(struct portcullis_child *child, enum portcullis_stream stream, struct portcullis_bytes *line)
{
    struct portcullis__held *held = &child->held[stream];
    for (size_t looked = 0;;) {
        while (held->start + looked < held->end && held->data[held->start + looked] != '\n')
            looked++;
        bool whole = held->start + looked < held->end;
        if (!whole && !child->over) {
            portcullis__look(child, -1);
            continue;
        }
        if (!whole && looked == 0)
            return false;
        *line = (struct portcullis_bytes){held->data + held->start, looked};
        held->start += looked + whole;
        line->data[looked] = 0;
        return true;
    }
}

/* What was not read. */
static struct portcullis_bytes portcullis__rest(struct portcullis__held *held)
{
    if (!held->data)
        return portcullis__not_run(PORTCULLIS_DONE).out;
    held->data[held->end] = 0;
    return (struct portcullis_bytes){held->data + held->start, held->end - held->start};
}

struct portcullis_output portcullis_wait(struct portcullis_child *child)
{
    portcullis_close(child);
    while (!child->over)
        portcullis__look(child, -1);
    struct portcullis_output output = child->output;
    output.out = portcullis__rest(&child->held[0]);
    output.err = portcullis__rest(&child->held[1]);
    return output;
}

void portcullis_kill(struct portcullis_child *child)
{
    /* What it wrote until now, and perhaps its end. */
    if (!child->over)
        portcullis__look(child, 0);
    if (child->over)
        return;
    (void)PORTCULLIS__CANCEL(child->number);
    child->over = true;
    child->output.signal = 9;
    child->output.status = 128 + 9;
}

/* ---- Files --------------------------------------------------------------------------------------------------------------- */

static bool portcullis__kind(const struct portcullis_json *value, enum portcullis_kind *kind)
{
    static const char *const kinds[] = {"file", "directory", "link", "other"};
    for (int at = 0; value && value->kind == PORTCULLIS_JSON_STRING && at < 4; at++)
        if (portcullis__equal(value->text, kinds[at])) {
            *kind = (enum portcullis_kind)at;
            return true;
        }
    return false;
}

enum portcullis_error portcullis_fs_read(const char *path, struct portcullis_bytes *content)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "path", path);
    enum portcullis_error error = PORTCULLIS__ASK(fs_read, &request, &ok);
    return error ? error : portcullis__bytes(ok, content) ? PORTCULLIS_DONE : PORTCULLIS_IO;
}

enum portcullis_error portcullis_fs_write(const char *path, struct portcullis_bytes content)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "path", path);
    portcullis__member_bytes(&request, "content", content);
    return PORTCULLIS__ASK(fs_write, &request, &ok);
}

enum portcullis_error portcullis_fs_list(const char *path, struct portcullis_entries *entries)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "path", path);
    enum portcullis_error error = PORTCULLIS__ASK(fs_entries, &request, &ok);
    if (error)
        return error;
    struct portcullis_entries found = {0, portcullis__array(ok->count + 1, sizeof *found.at)};
    for (const struct portcullis_json *entry = ok->first; entry; entry = entry->next) {
        const struct portcullis_json *name = portcullis_json_get(entry, "name");
        enum portcullis_kind kind;
        if (!portcullis__is_text(name) || !portcullis__kind(portcullis_json_get(entry, "kind"), &kind))
            return PORTCULLIS_IO;
        found.at[found.count++] = (struct portcullis_entry){name->text.data, kind};
    }
    *entries = found;
    return PORTCULLIS_DONE;
}

enum portcullis_error portcullis_fs_stat(const char *path, struct portcullis_stat *stat)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    struct portcullis_stat found;
    portcullis__member_text(&request, "path", path);
    enum portcullis_error error = PORTCULLIS__ASK(fs_stat, &request, &ok);
    if (error)
        return error;
    if (!portcullis__kind(portcullis_json_get(ok, "kind"), &found.kind) ||
        !portcullis__natural(portcullis_json_get(ok, "size"), &found.size) ||
        !portcullis__natural(portcullis_json_get(ok, "modified"), &found.modified_ns))
        return PORTCULLIS_IO;
    *stat = found;
    return PORTCULLIS_DONE;
}

enum portcullis_error portcullis_fs_mkdir(const char *path)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "path", path);
    return PORTCULLIS__ASK(fs_make_directory, &request, &ok);
}

enum portcullis_error portcullis_fs_remove(const char *path)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "path", path);
    return PORTCULLIS__ASK(fs_remove, &request, &ok);
}

enum portcullis_error portcullis_fs_rename(const char *from, const char *to)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "from", from);
    portcullis__member_text(&request, "to", to);
    return PORTCULLIS__ASK(fs_rename, &request, &ok);
}

/* ---- HTTP ---------------------------------------------------------------------------------------------------------------- */

enum portcullis_error portcullis_http_send(struct portcullis_request request, struct portcullis_response *response)
{
    struct portcullis__writer asked = {0};
    const struct portcullis_json *ok;
    uint64_t status;
    portcullis__member_text(&asked, "method", request.method ? request.method : "GET");
    portcullis__member_text(&asked, "url", request.url);
    portcullis__member(&asked, "headers");
    portcullis__put(&asked, "[", 1);
    for (size_t at = 0; at < request.header_count; at++) {
        portcullis__put_text(&asked, at ? ",[" : "[");
        portcullis__put_string(&asked, portcullis_text(request.headers[at].name));
        portcullis__put(&asked, ",", 1);
        portcullis__put_string(&asked, portcullis_text(request.headers[at].value));
        portcullis__put(&asked, "]", 1);
    }
    portcullis__put(&asked, "]", 1);
    if (request.body.length)
        portcullis__member_bytes(&asked, "body", request.body);
    portcullis__member_time(&asked, "timeout", request.timeout_ms);
    enum portcullis_error error = PORTCULLIS__ASK(http_send, &asked, &ok);
    if (error)
        return error;
    const struct portcullis_json *headers = portcullis_json_get(ok, "headers");
    struct portcullis_response answer = {.truncated = portcullis__true(portcullis_json_get(ok, "truncated"))};
    if (!headers || !portcullis__natural(portcullis_json_get(ok, "status"), &status) || status > 999 ||
        !portcullis__bytes(portcullis_json_get(ok, "body"), &answer.body))
        return PORTCULLIS_IO;
    struct portcullis_header *all = portcullis__array(headers->count + 1, sizeof *all);
    for (const struct portcullis_json *pair = headers->first; pair; pair = pair->next) {
        const struct portcullis_json *value = pair->count == 2 ? pair->first->next : NULL;
        if (!value || !portcullis__is_text(pair->first) || !portcullis__is_text(value))
            return PORTCULLIS_IO;
        all[answer.header_count++] = (struct portcullis_header){pair->first->text.data, value->text.data};
    }
    answer.status = (int)status;
    answer.headers = all;
    *response = answer;
    return PORTCULLIS_DONE;
}

static char portcullis__lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

const char *portcullis_header(const struct portcullis_response *response, const char *name)
{
    for (size_t at = 0; at < response->header_count; at++) {
        const char *own = response->headers[at].name;
        size_t same = 0;
        while (own[same] && portcullis__lower(own[same]) == portcullis__lower(name[same]))
            same++;
        if (!own[same] && !name[same])
            return response->headers[at].value;
    }
    return NULL;
}

/* ---- Variables and state ------------------------------------------------------------------------------------------------- */

enum portcullis_error portcullis_env_get(const char *name, char **value)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "name", name);
    enum portcullis_error error = PORTCULLIS__ASK(env_get, &request, &ok);
    if (error)
        return error;
    bool none = ok->kind == PORTCULLIS_JSON_NULL;
    if (!none && !portcullis__is_text(ok))
        return PORTCULLIS_IO;
    *value = none ? NULL : ok->text.data;
    return PORTCULLIS_DONE;
}

enum portcullis_error portcullis_kv_get(const char *key, struct portcullis_bytes *value)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "key", key);
    enum portcullis_error error = PORTCULLIS__ASK(kv_get, &request, &ok);
    if (error)
        return error;
    if (ok->kind == PORTCULLIS_JSON_NULL)
        *value = (struct portcullis_bytes){0};
    else if (!portcullis__bytes(ok, value))
        return PORTCULLIS_IO;
    return PORTCULLIS_DONE;
}

enum portcullis_error portcullis_kv_set(const char *key, struct portcullis_bytes value)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__member_text(&request, "key", key);
    portcullis__member_bytes(&request, "value", value);
    return PORTCULLIS__ASK(kv_set, &request, &ok);
}

/* An answer of yes or no. */
static enum portcullis_error portcullis__yes(enum portcullis_error error, const struct portcullis_json *ok, bool *yes)
{
    if (error)
        return error;
    if (ok->kind != PORTCULLIS_JSON_BOOL)
        return PORTCULLIS_IO;
    if (yes)
        *yes = ok->truth;
    return PORTCULLIS_DONE;
}

enum portcullis_error portcullis_kv_delete(const char *key, bool *existed)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok = NULL;
    portcullis__member_text(&request, "key", key);
    enum portcullis_error error = PORTCULLIS__ASK(kv_delete, &request, &ok);
    return portcullis__yes(error, ok, existed);
}

enum portcullis_error portcullis_kv_list(const char *prefix, struct portcullis_keys *keys)
{
    struct portcullis_keys found = {0};
    size_t room = 0;
    for (bool more = true; more;) {
        struct portcullis__writer request = {0};
        const struct portcullis_json *ok;
        portcullis__member_text(&request, "prefix", prefix);
        portcullis__member_text(&request, "after", found.count ? found.at[found.count - 1] : NULL);
        portcullis__member_number(&request, "limit", 100);
        enum portcullis_error error = PORTCULLIS__ASK(kv_list, &request, &ok);
        if (error)
            return error;
        const struct portcullis_json *page = portcullis_json_get(ok, "keys");
        if (!page)
            return PORTCULLIS_IO;
        if (page->count >= room - found.count) {
            room = 2 * (found.count + page->count) + 1;
            char **at = portcullis__array(room, sizeof *at);
            portcullis__copy((char *)at, (char *)found.at, found.count * sizeof *at);
            found.at = at;
        }
        for (const struct portcullis_json *key = page->first; key; key = key->next) {
            if (!portcullis__is_text(key))
                return PORTCULLIS_IO;
            found.at[found.count++] = key->text.data;
        }
        found.at[found.count] = NULL;
        /* A page without keys is the last, whatever it says. */
        more = page->count && portcullis__true(portcullis_json_get(ok, "more"));
    }
    *keys = found;
    return PORTCULLIS_DONE;
}

enum portcullis_error portcullis_kv_cas(const char *key, const struct portcullis_bytes *expected, struct portcullis_bytes value,
                                        bool *swapped)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok = NULL;
    portcullis__member_text(&request, "key", key);
    if (expected)
        portcullis__member_bytes(&request, "expected", *expected);
    portcullis__member_bytes(&request, "value", value);
    enum portcullis_error error = PORTCULLIS__ASK(kv_compare_and_swap, &request, &ok);
    return portcullis__yes(error, ok, swapped);
}

/* ---- The operator -------------------------------------------------------------------------------------------------------- */

void portcullis_log(enum portcullis_level level, const char *text) { PORTCULLIS__LOG((int32_t)level, portcullis_text(text)); }

void portcullis_abort(const char *message)
{
    portcullis_log(PORTCULLIS_ERROR, message);
    __builtin_trap();
}

static void portcullis__question(struct portcullis__writer *request, const char *id, const char *message)
{
    portcullis__member_text(request, "id", id);
    portcullis__member_text(request, "message", message);
}

enum portcullis_error portcullis_prompt_text(const char *id, const char *message, const char *def, char **answer)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__question(&request, id, message);
    portcullis__member_text(&request, "default", def);
    enum portcullis_error error = PORTCULLIS__ASK(prompt_text, &request, &ok);
    if (error)
        return error;
    if (!portcullis__is_text(ok))
        return PORTCULLIS_IO;
    *answer = ok->text.data;
    return PORTCULLIS_DONE;
}

enum portcullis_error portcullis_prompt_confirm(const char *id, const char *message, bool def, bool *yes)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok = NULL;
    portcullis__question(&request, id, message);
    portcullis__member(&request, "default");
    portcullis__put_text(&request, def ? "true" : "false");
    enum portcullis_error error = PORTCULLIS__ASK(prompt_confirm, &request, &ok);
    return portcullis__yes(error, ok, yes);
}

/* The place of one of the options. */
static bool portcullis__place(const struct portcullis_json *value, const char *const *options, size_t *place)
{
    uint64_t number;
    if (!portcullis__natural(value, &number))
        return false;
    for (size_t at = 0; options[at]; at++)
        if (at == number) {
            *place = at;
            return true;
        }
    return false;
}

enum portcullis_error portcullis_prompt_choose(const char *id, const char *message, const char *const *options, int def,
                                               size_t *chosen)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__question(&request, id, message);
    portcullis__member_words(&request, "options", options);
    if (def >= 0)
        portcullis__member_number(&request, "default", (uint64_t)def);
    enum portcullis_error error = PORTCULLIS__ASK(prompt_choose, &request, &ok);
    return error ? error : portcullis__place(ok, options, chosen) ? PORTCULLIS_DONE : PORTCULLIS_IO;
}

enum portcullis_error portcullis_prompt_choose_some(const char *id, const char *message, const char *const *options,
                                                    struct portcullis_places defaults, struct portcullis_places *chosen)
{
    struct portcullis__writer request = {0};
    const struct portcullis_json *ok;
    portcullis__question(&request, id, message);
    portcullis__member_words(&request, "options", options);
    portcullis__member(&request, "defaults");
    portcullis__put(&request, "[", 1);
    for (size_t at = 0; at < defaults.count; at++) {
        if (at)
            portcullis__put(&request, ",", 1);
        portcullis__put_number(&request, defaults.at[at], 10);
    }
    portcullis__put(&request, "]", 1);
    enum portcullis_error error = PORTCULLIS__ASK(prompt_choose_some, &request, &ok);
    if (error)
        return error;
    if (ok->kind != PORTCULLIS_JSON_ARRAY)
        return PORTCULLIS_IO;
    struct portcullis_places found = {0, portcullis__array(ok->count + 1, sizeof *found.at)};
    for (const struct portcullis_json *place = ok->first; place; place = place->next)
        if (!portcullis__place(place, options, &found.at[found.count++]))
            return PORTCULLIS_IO;
    *chosen = found;
    return PORTCULLIS_DONE;
}

/* ---- What the host calls ------------------------------------------------------------------------------------------------- */

struct portcullis_result portcullis_ok(const char *text)
{
    return (struct portcullis_result){true, portcullis_text(text)};
}

struct portcullis_result portcullis_fail(const char *text)
{
    return (struct portcullis_result){false, portcullis_text(text)};
}

/* Does the plugin's work: a list of strings in, one text or an error out, both as JSON. */
static struct portcullis_bytes portcullis__work(struct portcullis_bytes message)
{
    const struct portcullis_json *list = portcullis__parse(message);
    struct portcullis__writer answer = {0};
    struct portcullis_result result = portcullis_fail("the arguments are no list of texts");
    if (list && list->kind == PORTCULLIS_JSON_ARRAY) {
        struct portcullis_args args = {0, portcullis__array(list->count + 1, sizeof *args.at)};
        bool good = true;
        for (const struct portcullis_json *word = list->first; word; word = word->next) {
            good = good && portcullis__is_text(word);
            args.at[args.count++] = word->text.data;
        }
        args.at[args.count] = NULL;
        if (good)
            result = plugin_main(args);
    }
    portcullis__member(&answer, result.ok ? "ok" : "error");
    portcullis__put_string(&answer, result.text);
    return portcullis__written(&answer);
}

#ifdef __wasm__

/* Whether a call is over, and its answer all that is still to be read. */
static bool portcullis__over;

PORTCULLIS__EXPORT(allocate) char *portcullis__allocate(size_t length)
{
    if (portcullis__over)
        portcullis_reset();
    portcullis__over = false;
    return portcullis__reserve(length);
}

PORTCULLIS__EXPORT(run) portcullis__packed portcullis__run(portcullis__packed args)
{
    struct portcullis_bytes answer = portcullis__work(portcullis__unpack(args));
    portcullis__over = true;
    return portcullis__pack(answer);
}

#endif

#endif /* PORTCULLIS_PLUGIN */
