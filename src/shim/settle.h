/*
 * settle.h - gives back what only the start needed.
 */
#pragma once

/*
 * Forgets the pages of code and constants that are mapped: what the job's life needs comes back
 * from the page cache, one fault each. An idle shim then costs what it uses, and not what its
 * start went through. Nothing can fail; nothing blocks but on a program file on a slow disk.
 */
void sh_settle(void);
