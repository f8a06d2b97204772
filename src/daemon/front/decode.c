/* decode.c - see decode.h. */
#include "daemon/front/decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/joblet.pb-c.h"
#include "api/validate.h"
#include "api/volume.h"
#include "base/cleanup.h"

#define UNARY_BYTES_MAX (1u << 20) /* a request that carries no files */

static int check_fields(enum jd_op op, const void *msg, struct jd_decoded *d, struct jl_err *e)
{
    enum api_volume_type type;
    uint64_t bytes;
    int32_t grace;

    switch ((int) op) { /* what is not listed has no fields to check */
    case JD_OP_GET_JOB:
        return api_validate_get_job_status(msg, e);
    case JD_OP_CANCEL_JOB:
        return api_validate_id("uuid", ((const Joblet__CancelJobRequest *) msg)->uuid, e);
    case JD_OP_DELETE_JOB:
        return api_validate_id("uuid", ((const Joblet__DeleteJobRequest *) msg)->uuid, e);
    case JD_OP_CREATE_VOLUME:
        return api_volume_new(msg, &bytes, &type, e);
    case JD_OP_REMOVE_VOLUME:
        return api_volume_name("name", ((const Joblet__RemoveVolumeRequest *) msg)->name, e);
    case JD_OP_STOP_JOB:
        grace = ((const Joblet__StopJobRequest *) msg)->grace_ms;
        d->stops = true;
        d->grace_ms = grace > 0 ? (uint64_t) grace : 0;
        return api_validate_stop_job(msg, e);
    default:
        return 0;
    }
}

/* The type of a method's request, from the descriptors that protobuf-c made of joblet.proto. */
static const ProtobufCMessageDescriptor *request_type(const char *method)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &joblet__job_service__descriptor,        &joblet__network_service__descriptor,
        &joblet__volume_service__descriptor,     &joblet__runtime_service__descriptor,
        &joblet__monitoring_service__descriptor,
    };
    const char *slash = strrchr(method, '/');

    for (size_t i = 0; i < JL_COUNT(services) && slash; i++) {
        size_t len = strlen(services[i]->name);
        const ProtobufCMethodDescriptor *m;

        if (method + 1 + len != slash || memcmp(method + 1, services[i]->name, len) != 0)
            continue;
        m = protobuf_c_service_descriptor_get_method_by_name(services[i], slash + 1);
        return m ? m->input : NULL;
    }
    return NULL;
}

static void drop_unknown_below(const ProtobufCFieldDescriptor *field, const void *member, size_t n)
{
    ProtobufCMessage *const *messages = member;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        messages = *(ProtobufCMessage * *const *) member;
    for (size_t i = 0; i < n; i++)
        if (messages[i])
            jd_drop_unknown(messages[i]);
}

void jd_drop_unknown(ProtobufCMessage *msg)
{
    const ProtobufCMessageDescriptor *type = msg->descriptor;
    const uint8_t *base = (const uint8_t *) msg;

    for (unsigned i = 0; i < msg->n_unknown_fields; i++)
        free(msg->unknown_fields[i].data);
    free(msg->unknown_fields);
    msg->unknown_fields = NULL;
    msg->n_unknown_fields = 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        size_t n = 1;

        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            memcpy(&n, base + f->quantifier_offset, sizeof n);
        else if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            n = *(const uint32_t *) (const void *) (base + f->quantifier_offset) == f->id;
        drop_unknown_below(f, base + f->offset, n);
    }
}

/* The volume, network or job that the request names. */
static void name_object(const ProtobufCMessage *msg, struct jd_decoded *d)
{
    static const char *const fields[] = { "name", "uuid" };

    for (size_t i = 0; i < JL_COUNT(fields); i++) {
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, fields[i]);

        if (f && f->type == PROTOBUF_C_TYPE_STRING && f->label != PROTOBUF_C_LABEL_REPEATED)
            snprintf(d->object, sizeof d->object, "%s",
                     *(char *const *) (const void *) ((const uint8_t *) msg + f->offset));
    }
}

int jd_decode(enum jd_op op, const char *method, const void *data, size_t len,
              struct jd_decoded *ret, struct jl_err *e)
{
    const ProtobufCMessageDescriptor *type = request_type(method);
    ProtobufCMessage *msg;
    int r;

    *ret = (struct jd_decoded){ 0 };
    if (!type)
        return jl_refuse(e, ENOSYS, "method %s has no request type", method);
    if (len > UNARY_BYTES_MAX)
        return jl_refuse(e, EMSGSIZE, "the request has %zu bytes, limit is %u", len,
                         UNARY_BYTES_MAX);
    r = api_unpack_request(type, data, len, &msg, e);
    if (r < 0)
        return r;
    name_object(msg, ret);
    r = check_fields(op, msg, ret, e);
    jd_drop_unknown(msg);
    if (r == 0) {
        ret->len = protobuf_c_message_get_packed_size(msg);
        ret->body = malloc(ret->len + 1);
        r = ret->body ? 0 : jl_fail(e, ENOMEM, "encode the request");
    }
    if (r == 0)
        protobuf_c_message_pack(msg, ret->body);
    protobuf_c_message_free_unpacked(msg, NULL);
    return r;
}
