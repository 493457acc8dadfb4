#include "protocol/messages/schema.h"

#include <google/protobuf/descriptor.h>

#include "protocol/mqtt/topic.h"

namespace berth::protocol::messages {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr std::uint32_t kNumberMax = 4096;  // of a field that is in a table

WireType wire_type_of(const FieldDescriptor& f) {
  if (f.is_packed()) return WireType::bytes;
  switch (f.type()) {
    case FieldDescriptor::TYPE_DOUBLE:
    case FieldDescriptor::TYPE_FIXED64:
    case FieldDescriptor::TYPE_SFIXED64:
      return WireType::fixed64;
    case FieldDescriptor::TYPE_FLOAT:
    case FieldDescriptor::TYPE_FIXED32:
    case FieldDescriptor::TYPE_SFIXED32:
      return WireType::fixed32;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
    case FieldDescriptor::TYPE_MESSAGE:
      return WireType::bytes;
    default:
      return WireType::varint;
  }
}

}  // namespace

bool Fields::long_varint(std::uint64_t& out) {
  std::uint64_t v = 0;
  for (unsigned shift = 0; p_ != end_ && shift < 70; shift += 7) {
    const auto b = static_cast<std::uint8_t>(*p_++);
    v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
    if ((b & 0x80) != 0) continue;
    out = v;
    return shift < 63 || b <= 1;
  }
  return false;
}

Schema::Schema(const Descriptor& root) {
  std::map<const Descriptor*, Message*> known;
  add(root, known);
}

const Schema::Message* Schema::add(const Descriptor& d,
                                   std::map<const Descriptor*, Message*>& known) {
  if (const auto it = known.find(&d); it != known.end()) return it->second;
  Message* m = known[&d] = &messages_.emplace_back();
  for (int i = 0; i < d.field_count(); ++i) {
    const FieldDescriptor& f = *d.field(i);
    const auto number = static_cast<std::uint32_t>(f.number());
    if (number >= kNumberMax) continue;
    if (number >= m->kinds.size()) m->kinds.resize(number + 1);
    m->kinds[number] = {wire_type_of(f), f.type() == FieldDescriptor::TYPE_STRING,
                        f.message_type() == nullptr ? nullptr : add(*f.message_type(), known)};
  }
  return m;
}

bool Schema::good(const Message& m, const Field& f, int depth) {
  if (f.number >= m.kinds.size()) return true;
  const Kind& k = m.kinds[f.number];
  if (k.type == WireType::none) return true;
  if (k.type != f.type) return false;
  if (k.text) return mqtt::valid_utf8(f.bytes);
  return k.message == nullptr || (depth > 0 && read_message(*k.message, f.bytes, depth - 1));
}

bool Schema::read_message(const Message& m, std::string_view in, int depth) {
  Fields fields(in);
  for (Field f; fields.next(f);) {
    if (!good(m, f, depth)) return false;
  }
  return fields.all();
}

}  // namespace berth::protocol::messages
