/* Writes as many MiB as it is told, 64 KiB at a time. */
#include <stdlib.h>
#include <unistd.h>

static char block[64 * 1024];

int main(int argc, char **argv) {
    long left = argc > 1 ? atol(argv[1]) * 1024 * 1024 : 0;
    while (left > 0) {
        ssize_t written = write(1, block, left < (long)sizeof block ? (size_t)left : sizeof block);
        if (written < 0)
            return 1;
        left -= written;
    }
    return 0;
}
