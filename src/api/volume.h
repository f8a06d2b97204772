/*
 * volume.h - what a client may say of volumes: their names, sizes and types, and how a job names
 * one. As validate.h: pure, asked by front, by core and by rnx; refusals name the field.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "api/validate.h"
#include "base/err.h"

#define API_VOLUME_LEAST (UINT64_C(1) << 20) /* bytes: ext4 needs room for itself */
#define API_VOLUME_MOST (UINT64_C(1) << 44)  /* 16 TiB, ext4's limit with blocks of 4 KiB */
#define API_VOLUME_SIZE_MAX 31               /* characters of a size */

enum api_volume_type { API_VOLUME_FILESYSTEM, API_VOLUME_MEMORY };

const char *api_volume_type_name(enum api_volume_type type);

/* 1 to API_NAME_MAX of a-z A-Z 0-9 _ -, the first and the last a letter or digit. */
int api_volume_name(const char *field, const char *name, struct jl_err *e);

/* An entry of RunJobRequest.volumes: NAME, NAME:rw or NAME:ro. name holds API_NAME_MAX + 1. */
int api_volume_entry(const char *field, const char *entry, char *name, bool *ret_read_only,
                     struct jl_err *e);

/* CreateVolumeRequest: bytes and type, "" being filesystem. 0, or -EINVAL/-ERANGE/-EMSGSIZE. */
int api_volume_new(const Joblet__CreateVolumeRequest *r, uint64_t *ret_bytes,
                   enum api_volume_type *ret_type, struct jl_err *e);
