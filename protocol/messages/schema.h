// Are these bytes a message that any reader of its schema can read? Walks the wire format by a
// table made once from the message's descriptor: no memory, a seventh of a parse. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Descriptor;
}

namespace berth::protocol::messages {

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5, none = 7 };

// A field as it stands in the bytes.
struct Field {
  std::uint32_t number = 0;
  WireType type = WireType::none;
  std::uint64_t value = 0;  // of a varint
  std::string_view bytes;
};

// Takes one field after the other from bytes.
class Fields {
 public:
  explicit Fields(std::string_view in) : p_(in.data()), end_(in.data() + in.size()) {}
  // False: there is none, or what is there is none: all() is then false.
  bool next(Field& out) {
    if (p_ == end_) return false;
    std::uint64_t tag = 0;
    if (!varint(tag) || tag >> 3 == 0 || tag >> 32 != 0) return fail();
    out.number = static_cast<std::uint32_t>(tag >> 3);
    out.type = static_cast<WireType>(tag & 7);
    std::uint64_t size = 0;
    switch (out.type) {
      case WireType::varint:
        return varint(out.value) || fail();
      case WireType::fixed64:
        size = 8;
        break;
      case WireType::fixed32:
        size = 4;
        break;
      case WireType::bytes:
        if (!varint(size)) return fail();
        break;
      default:
        return fail();
    }
    if (size > static_cast<std::uint64_t>(end_ - p_)) return fail();
    out.bytes = {p_, static_cast<std::size_t>(size)};
    p_ += size;
    return true;
  }
  bool all() const { return good_; }

 private:
  bool fail() {
    good_ = false;
    p_ = end_;
    return false;
  }
  bool varint(std::uint64_t& out) {
    if (p_ != end_ && static_cast<signed char>(*p_) >= 0) {
      out = static_cast<std::uint8_t>(*p_++);
      return true;
    }
    return long_varint(out);
  }
  bool long_varint(std::uint64_t& out);

  const char* p_;
  const char* end_;
  bool good_ = true;
};

class Schema {
 public:
  explicit Schema(const google::protobuf::Descriptor& root);
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  // False: damaged, a field of another type than the schema's, text that is not UTF-8, groups, or
  // deeper than 32 messages. Unknown fields are good. `on_field(field)` hears of those of the root.
  template <class OnField>
  bool read(std::string_view in, OnField&& on_field) const {
    Fields fields(in);
    for (Field f; fields.next(f);) {
      if (!good(messages_.front(), f, kDepthMax)) return false;
      on_field(f);
    }
    return fields.all();
  }

 private:
  static constexpr int kDepthMax = 32;
  struct Message;
  struct Kind {
    WireType type = WireType::none;  // none: unknown
    bool text = false;
    const Message* message = nullptr;
  };
  struct Message {
    std::vector<Kind> kinds;  // by field number
  };
  const Message* add(const google::protobuf::Descriptor& d,
                     std::map<const google::protobuf::Descriptor*, Message*>& known);
  static bool good(const Message& m, const Field& f, int depth);
  static bool read_message(const Message& m, std::string_view in, int depth);

  std::deque<Message> messages_;  // the root first
};

}  // namespace berth::protocol::messages
