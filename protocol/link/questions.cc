#include "protocol/link/questions.h"

#include "base/bytes.h"

namespace berth::protocol::link {

const char* name_of(AskError error) {
  switch (error) {
    case AskError::none:
      return "none";
    case AskError::unknown_kind:
      return "unknown_kind";
    case AskError::too_large:
      return "too_large";
    case AskError::too_many:
      return "too_many";
    case AskError::too_late:
      return "too_late";
    case AskError::not_serving:
      return "not_serving";
    case AskError::link_lost:
      return "link_lost";
    case AskError::old_engine:
      return "old_engine";
    case AskError::failed:
      return "failed";
  }
  return "unknown";
}

void put_ask(std::string& out, std::uint64_t number, const Question& q) {
  base::put_varint(out, number);
  out.push_back(static_cast<char>(q.kind));
  base::put_varint(out, q.limit_ms);
  out.append(q.bytes);
}

bool get_ask(std::string_view in, std::uint64_t& number, Question& q) {
  base::RecordReader r(in);
  number = r.varint();
  q.kind = static_cast<AskKind>(r.byte());
  q.limit_ms = static_cast<std::uint32_t>(r.varint());
  if (!r.ok()) return false;
  q.bytes = r.rest();
  return true;
}

void put_answer(std::string& out, std::uint64_t number, AskError error, std::string_view bytes) {
  base::put_varint(out, number);
  out.push_back(static_cast<char>(error));
  out.append(bytes);
}

bool get_answer(std::string_view in, std::uint64_t& number, AskError& error,
                std::string_view& bytes) {
  base::RecordReader r(in);
  number = r.varint();
  error = static_cast<AskError>(r.byte());
  bytes = r.rest();
  return r.ok();
}

}  // namespace berth::protocol::link
