#include "session/uplink_records.h"

#include <algorithm>

#include "base/bytes.h"

namespace berth::session {
namespace {

void decode_cursor(std::string_view in, UplinkStored& s) {
  base::RecordReader r(in);
  for (std::uint64_t* v :
       {&s.done_through, &s.done_cumulative, &s.kept_from, &s.replay_next, &s.replay_through})
    *v = r.varint();
}

void decode_marks(std::string_view in, std::deque<UplinkMark>& marks) {
  base::RecordReader r(in);
  const std::uint64_t n = std::min<std::uint64_t>(r.varint(), kUplinkMarksMax);
  UplinkMark m;
  marks.clear();
  for (std::uint64_t i = 0; i < n; ++i) {
    m.seq += r.varint();
    m.at_ms += static_cast<std::int64_t>(r.varint());
    m.cumulative += r.varint();
    if (!r.ok()) return;
    marks.push_back(m);
  }
}

DeadLetter decode_dead(std::uint64_t seq, std::string_view in) {
  base::RecordReader r(in);
  DeadLetter d{.seq = seq};
  d.at_ms = static_cast<std::int64_t>(r.varint());
  d.bytes = r.varint();
  d.topic = r.bytes();
  d.why = r.bytes();
  return d;
}

}  // namespace

std::string uplink_key(std::string_view name, UplinkTable table) {
  std::string k(kUplinkRecords);
  k.append(name).push_back('\0');
  k.push_back(static_cast<char>(table));
  return k;
}

std::string dead_letter_key(std::string_view name, std::uint64_t seq) {
  std::string k = uplink_key(name, UplinkTable::dead);
  base::put_varint(k, seq);
  return k;
}

std::string encode_cursor(const UplinkStored& s) {
  std::string o;
  for (const std::uint64_t v :
       {s.done_through, s.done_cumulative, s.kept_from, s.replay_next, s.replay_through})
    base::put_varint(o, v);
  return o;
}

std::string encode_marks(const std::deque<UplinkMark>& marks) {
  std::string o;
  base::put_varint(o, marks.size());
  UplinkMark last;
  for (const UplinkMark& m : marks) {
    base::put_varint(o, m.seq - last.seq);
    base::put_varint(o, static_cast<std::uint64_t>(m.at_ms - last.at_ms));
    base::put_varint(o, m.cumulative - last.cumulative);
    last = m;
  }
  return o;
}

std::string encode_dead_letter(const DeadLetter& d) {
  std::string o;
  base::put_varint(o, static_cast<std::uint64_t>(d.at_ms));
  base::put_varint(o, d.bytes);
  base::put_bytes(o, d.topic);
  base::put_bytes(o, d.why);
  return o;
}

std::string take_uplink_record(std::string_view key, const std::string_view* value,
                               std::map<std::string, UplinkStored>& all) {
  if (!key.starts_with(kUplinkRecords)) return {};
  key.remove_prefix(kUplinkRecords.size());
  const std::size_t end = key.find('\0');
  if (end == std::string_view::npos || end == 0 || end + 1 >= key.size()) return {};
  const std::string name(key.substr(0, end));
  if (key[end + 1] == static_cast<char>(UplinkTable::definition)) return name;
  UplinkStored& s = all[name];
  switch (static_cast<UplinkTable>(key[end + 1])) {
    case UplinkTable::cursor:
      decode_cursor(value == nullptr ? std::string_view() : *value, s);
      break;
    case UplinkTable::marks:
      decode_marks(value == nullptr ? std::string_view() : *value, s.marks);
      break;
    case UplinkTable::dead: {
      const std::uint64_t seq = base::RecordReader(key.substr(end + 2)).varint();
      s.dead.erase(seq);
      if (value != nullptr) s.dead.emplace(seq, decode_dead(seq, *value));
      break;
    }
    case UplinkTable::definition:
      break;
  }
  return name;
}

std::string_view defined_uplink(std::string_view key) {
  if (!key.starts_with(kUplinkRecords)) return {};
  key.remove_prefix(kUplinkRecords.size());
  if (key.size() < 3 || key.find('\0') != key.size() - 2 ||
      key.back() != static_cast<char>(UplinkTable::definition))
    return {};
  return key.substr(0, key.size() - 2);
}

}  // namespace berth::session
