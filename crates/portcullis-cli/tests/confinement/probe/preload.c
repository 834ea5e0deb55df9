/* A library that shows that it was loaded. */
#include <unistd.h>

__attribute__((constructor)) static void loaded(void)
{
    if (write(1, "PRELOADED\n", 10) < 0)
        _exit(1);
}
