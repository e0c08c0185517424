/*
 * replay.c - runs a fuzz target over the files of a directory, as a unit test.
 *
 * So the seeds, and every input that once broke something, are checked by any
 * compiler with each run of the suite. The directory is compiled in (CORPUS) or
 * given as the first argument; a broken invariant ends the program with abort(),
 * with the file's name as the last line of its output.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    /* larger than any input that the fuzzer makes, see build/unit.mk */
    static uint8_t space[65536];
    uint8_t *data;
    size_t size;
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        return 0;
    size = fread(space, 1, sizeof(space), file);
    fclose(file);
    /* exactly as large as the input, for the sanitizer's sake */
    data = malloc(size ? size : 1);
    if (data == NULL)
        return 0;
    memcpy(data, space, size);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    const char *where = argc > 1 ? argv[1] : CORPUS;
    DIR *dir = opendir(where);
    struct dirent *entry;

    if (!ok(dir != NULL, "can list %s", where))
        return tap_done();
    while ((entry = readdir(dir)) != NULL) {
        char path[1024];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", where, entry->d_name);
        printf("# %s\n", path);
        fflush(stdout);
        ok(replay(path), "%s", entry->d_name);
    }
    closedir(dir);
    ok(tap_run > 1, "the corpus is not empty");
    return tap_done();
}
