/*
 * banned.h - functions that have cost others their safety are compile errors here. Included in
 * every compilation by the build (-include).
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll atof \
    tmpnam tempnam mktemp system popen
