#define PORTCULLIS_PLUGIN
#include "portcullis.h"

/* Says how many files of the project are not committed. */
struct portcullis_result plugin_main(struct portcullis_args args)
{
    struct portcullis_output git = portcullis_run(PORTCULLIS_COMMAND("git", "status", "--porcelain"));
    if (git.status != 0)
        return portcullis_fail(portcullis_trouble(&git));
    size_t lines = 0;
    for (size_t at = 0; at < git.out.length; at++)
        lines += git.out.data[at] == '\n';
    return portcullis_ok(portcullis_format("%zu not committed", lines));
}
