// The fields of a line, as the Elastic Common Schema (8.11) names them. A line is words, then
// key=value; a value with anything but the characters of a word is in quotes (log_text.h).
//
//   words      event.action, "client refused" as client-refused
//   peer       client.ip, client.port             reason, why  event.reason
//   user       user.name                          code         event.code
//   error      error.message                      protocol     network.protocol
//   method     http.request.method                path         url.path
//   trace_id   trace.id
//   status     http.response.status_code          rx, tx       client.bytes, server.bytes
//   client, tenant, site, device, account, topic, filter, conn, listener, product   berth.…
//   others     labels.KEY
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace berth::base {

// Appends `,"event.action":"…",…` for the line; valid JSON whatever the line is. 48 fields at most.
void append_ecs_fields(fmt::memory_buffer& out, std::string_view line);
// The inside of a JSON string. REQUIRES: printable (append_printable).
void append_json(fmt::memory_buffer& out, std::string_view text);

}  // namespace berth::base
