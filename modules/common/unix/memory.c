/* See ../memory.h. */
#include "memory.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void mpmx_memory_give_back(void)
{
#ifdef __GLIBC__
    /* malloc_trim(3): since glibc 2.8 in the middle of the heap and in all arenas, too. Other
     * systems' free(3) does so by itself. */
    malloc_trim(0);
#endif
}
