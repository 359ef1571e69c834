#ifndef WPROXY_BASE_POISON_H
#define WPROXY_BASE_POISON_H

#include <stddef.h>

/*
 * Tells AddressSanitizer which bytes of a block that we manage ourselves are
 * in nobody's use, so that touching them is reported.  Nothing in other builds.
 */
#if defined(__SANITIZE_ADDRESS__)
#define WPROXY_ASAN	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WPROXY_ASAN	1
#endif
#endif

#ifdef WPROXY_ASAN
/*
 * As in <sanitizer/asan_interface.h>, whose pointers are const: gcc takes that for reading, and
 * what is poisoned is not initialized yet.
 */
void	__asan_poison_memory_region(volatile void *, size_t);
void	__asan_unpoison_memory_region(volatile void *, size_t);

#define mem_poison(p, n)	__asan_poison_memory_region((p), (n))
#define mem_unpoison(p, n)	__asan_unpoison_memory_region((p), (n))
#define POISON_GAP		16	/* kept poisoned behind each allocation of an arena */
#else
#define mem_poison(p, n)	((void)(p), (void)(n))
#define mem_unpoison(p, n)	((void)(p), (void)(n))
#define POISON_GAP		0
#endif

#endif
