/* Memory that was freed, and the system. */
#ifndef MPMX_MEMORY_H
#define MPMX_MEMORY_H

/* Returns free pages of the heap to the system, wherever in it they are. Takes some
 * milliseconds when there is much. Any thread. */
void mpmx_memory_give_back(void);

#endif
