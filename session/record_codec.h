// Parts of session records and cookies as bytes (records.proto): plain functions; any thread. What
// these bytes mean stays the same over releases: numbers of fields are never used again.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "session/scope.h"
#include "session/session.h"

namespace berth::session {

namespace pb {
class Scope;
class Will;
}  // namespace pb

void will_to_pb(const Will& w, pb::Will& out);
std::unique_ptr<Will> will_from_pb(const pb::Will& in);
// The slots and gaps of a queue, and what it held when they were written:
//   slots := n:varint (key:bytes seq:varint bytes:varint qos:u8)[n] g:varint (from:varint
//            through:varint)[g] last_seq:varint queued:varint queued_bytes:varint cumulative:varint
// More may follow. REQUIRES: the queue has slots.
std::string encode_slots(const Flow& q);
std::unique_ptr<Slots> decode_slots(std::string_view bytes);  // null: damaged
std::string encode_will(const Will& w);
std::unique_ptr<Will> decode_will(std::string_view bytes);  // null: damaged

// Cookie slots alias_in, alias_out, retained_cursor.
std::string encode_alias_in(const Channel& ch);
std::string encode_alias_out(const Channel& ch);
std::string encode_retained_cursor(const Channel& ch);

void scope_to_pb(const Scope& in, pb::Scope& out);
ScopePtr scope_from_pb(const pb::Scope& in);

}  // namespace berth::session
