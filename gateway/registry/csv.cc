#include "gateway/registry/csv.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "base/charset.h"
#include "gateway/registry/import.h"
#include "gateway/registry/import_budget.h"

namespace berth::gateway::registry {

namespace json = boost::json;

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

constexpr auto kColumns = std::to_array<CsvColumn>({
    {"tenant", "租户"},
    {"site", "车场"},
    {"device", "设备编号"},
    {"display_name", "名称"},
    {"product", "产品"},
    {"enabled", "启用"},
    {"firmware", "固件"},
    {"parent", "上级设备"},
    {"child", "下级编号"},
    {"executor", "执行设备"},
    {"auth_id", "账号"},
    {"password", "密码"},
    {"password_hash", "密码哈希"},
    {"key", "密钥"},
    {"certificate", "证书"},
    {"not_before", "生效时间"},
    {"not_after", "失效时间"},
});
constexpr std::size_t kOfDevice = 10;  // of the columns; the others are the credential's
// Not exported: a registry knows its hash only.
constexpr std::string_view kPassword = "password";

[[noreturn]] void bad_line(int line, const std::string& why) {
  throw BadRecord("line " + std::to_string(line) + ": " + why);
}

// In English: of a label "label.NAME". Empty: it is none.
std::string column_of(const std::string& said) {
  for (const CsvColumn& c : kColumns) {
    if (said == c.name || said == c.in_chinese) return std::string(c.name);
  }
  for (const std::string_view label : {kLabelColumn.name, kLabelColumn.in_chinese}) {
    if (said.starts_with(label) && said.size() > label.size())
      return std::string(kLabelColumn.name) + said.substr(label.size());
  }
  return {};
}

bool is_of_device(std::string_view column) {
  return std::any_of(kColumns.begin(), kColumns.begin() + kOfDevice,
                     [&](const CsvColumn& c) { return c.name == column; });
}

// The columns in English.
CsvRow columns_of(const CsvRow& head) {
  CsvRow out{.cells = {}, .line = head.line};
  std::set<std::string> seen;
  for (const std::string& said : head.cells) {
    const std::string column = column_of(said);
    if (column.empty()) bad_line(head.line, "unknown column '" + said + "'");
    if (!seen.insert(column).second) bad_line(head.line, "column '" + said + "' twice");
    out.cells.push_back(column);
  }
  for (const char* needed : {"tenant", "site", "device"}) {
    if (!seen.contains(needed)) bad_line(head.line, std::string("no column '") + needed + "'");
  }
  return out;
}

// As spreadsheets write it, TRUE and 是 too. Anything else is refused with the record.
json::value enabled_of(const std::string& cell, int line) {
  static const std::map<std::string, bool> kWords{
      {"true", true},   {"TRUE", true},   {"yes", true}, {"1", true},  {"是", true},
      {"false", false}, {"FALSE", false}, {"no", false}, {"0", false}, {"否", false}};
  const auto it = kWords.find(cell);
  if (it == kWords.end()) bad_line(line, "enabled is true or false, not '" + cell + "'");
  return it->second;
}

// Also behind quotes that were put in front of it.
bool looks_like_formula(std::string_view cell) {
  const std::size_t at = cell.find_first_not_of('\'');
  return at != std::string_view::npos &&
         std::string_view("=+-@\t\r").find(cell[at]) != std::string_view::npos;
}

// What CsvWriter put in front of a formula.
std::string without_quote(const std::string& cell) {
  return cell.starts_with('\'') && looks_like_formula(cell) ? cell.substr(1) : cell;
}

Said device_of(const CsvRow& head, const CsvRow& row, ImportBudget& budget) {
  if (row.cells.size() != head.cells.size())
    bad_line(row.line, std::to_string(row.cells.size()) + " cells, the first line has " +
                           std::to_string(head.cells.size()));
  json::object device;
  json::object credential;
  json::object labels;
  std::string tenant;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    const std::string& column = head.cells[i];
    const std::string cell = without_quote(row.cells[i]);
    if (cell.empty()) continue;
    if (column == "tenant") {
      tenant = cell;
    } else if (column == "device") {
      device["name"] = cell;
    } else if (column == "enabled") {
      device[column] = enabled_of(cell, row.line);
    } else if (is_of_device(column)) {
      device[column] = cell;
    } else if (column.starts_with(kLabelColumn.name)) {
      labels[column.substr(kLabelColumn.name.size())] = cell;
    } else {
      credential[column] = cell;
    }
  }
  if (tenant.empty() || !device.contains("name")) bad_line(row.line, "no tenant or no device");
  if (!labels.empty()) device["labels"] = labels;
  if (!credential.empty()) device["credentials"] = json::array{credential};
  const std::string name(device["name"].as_string());
  try {
    auto message = from_json(Kind::device, json::serialize(device));
    budget.record(*message);
    return {key_of(Kind::device, tenant, name), std::move(message), row.line, std::move(device),
            true};
  } catch (const BadRecord& e) {
    bad_line(row.line, e.what());
  }
}

// A second line of the same device: its credential is one more.
void add_credentials(Said& more, Said& first) {
  auto& device = static_cast<pb::Device&>(*first.message);
  const auto& other = static_cast<const pb::Device&>(*more.message);
  if (!other.site().empty() && other.site() != device.site())
    bad_line(more.line, "another site than in line " + std::to_string(first.line));
  device.mutable_credentials()->MergeFrom(other.credentials());
  json::value* credentials = more.patch.if_contains("credentials");
  if (credentials == nullptr) return;
  json::value& all = first.patch["credentials"];
  if (!all.is_array()) all = json::array();
  for (json::value& c : credentials->get_array()) all.get_array().push_back(std::move(c));
}

std::string time_of(const google::protobuf::Timestamp& t) {
  return google::protobuf::util::TimeUtil::ToString(t);
}

}  // namespace

std::span<const CsvColumn> csv_columns() {
  return kColumns;
}

std::string_view csv_text(std::string_view bytes, std::string& scratch) {
  if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff"))
    bad_line(1, "the table is UTF-16: save it as CSV in UTF-8");
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  if (base::is_utf8(bytes)) return bytes;
  auto text = base::to_utf8(base::Charset::gb18030, bytes);
  if (!text) bad_line(1, "the table is neither UTF-8 nor GB 18030");
  scratch = std::move(*text);
  return scratch;
}

bool CsvReader::next(CsvRow& row) {
  row.cells.clear();
  row.line = line_;
  if (at_ >= text_.size()) return false;
  for (;;) {
    row.cells.push_back(cell());
    if (at_ >= text_.size()) return true;
    const char c = text_[at_++];
    if (c == ',') continue;
    if (c == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
    if (c == '\r' || c == '\n') {
      ++line_;
      return true;
    }
    bad_line(line_, "a quote inside of a cell");
  }
}

std::string CsvReader::cell() {
  if (at_ < text_.size() && text_[at_] == '"') return quoted();
  const std::size_t end = std::min(text_.find_first_of(",\r\n\"", at_), text_.size());
  std::string s(text_.substr(at_, end - at_));
  at_ = end;
  return s;
}

std::string CsvReader::quoted() {
  std::string s;
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '\n') ++line_;
    if (text_[at_] != '"') {
      s.push_back(text_[at_]);
    } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
      s.push_back(text_[++at_]);
    } else {
      ++at_;
      return s;
    }
  }
  bad_line(line_, "a quote that does not end");
}

std::vector<Said> parse_csv(const std::string& bytes) {
  std::string scratch;
  std::vector<Said> out;
  std::map<std::string, std::size_t> known;
  CsvReader reader(csv_text(bytes, scratch));
  ImportBudget budget;
  CsvRow head;
  if (!reader.next(head)) return out;
  head = columns_of(head);
  for (CsvRow row; reader.next(row);) {
    const bool empty = std::all_of(row.cells.begin(), row.cells.end(),
                                   [](const std::string& cell) { return cell.empty(); });
    if (empty) continue;  // spreadsheets leave such lines behind
    Said s = device_of(head, row, budget);
    const auto [it, fresh] = known.try_emplace(s.key, out.size());
    if (fresh) {
      out.push_back(std::move(s));
    } else {
      add_credentials(s, out[it->second]);
    }
  }
  return out;
}

std::optional<CsvEncoding> csv_encoding(std::string_view name) {
  if (name == "utf-8") return CsvEncoding::utf8;
  if (name == "utf-8-bom") return CsvEncoding::utf8_bom;
  if (name == "gb18030") return CsvEncoding::gb18030;
  return std::nullopt;
}

void CsvWriter::look_at(const pb::Device& d) {
  for (const auto& [name, value] : d.labels()) {
    const auto at = std::lower_bound(labels_.begin(), labels_.end(), name);
    if (at != labels_.end() && *at == name) continue;
    left_out_ = left_out_ || labels_.size() >= kLabelsMax;
    if (labels_.size() < kLabelsMax) labels_.insert(at, name);
  }
}

std::string CsvWriter::line(const std::vector<std::string>& cells) const {
  std::string out;
  for (const std::string& cell : cells) {
    if (&cell != &cells.front()) out += ',';
    const std::string shown = looks_like_formula(cell) ? "'" + cell : cell;
    if (shown.find_first_of(",\"\r\n") == std::string::npos) {
      out += shown;
      continue;
    }
    out += '"';
    for (const char c : shown) out.append(c == '"' ? 2 : 1, c);
    out += '"';
  }
  out += "\r\n";
  if (encoding_ != CsvEncoding::gb18030) return out;
  return base::from_utf8(base::Charset::gb18030, out).value_or(std::string());
}

std::string CsvWriter::head() const {
  std::vector<std::string> cells;
  for (const CsvColumn& c : kColumns) {
    if (c.name != kPassword) cells.emplace_back(c.name);
  }
  for (const std::string& label : labels_) cells.push_back(std::string(kLabelColumn.name) + label);
  return std::string(encoding_ == CsvEncoding::utf8_bom ? kByteOrderMark : "") + line(cells);
}

std::string CsvWriter::lines(std::string_view tenant, const pb::Device& d) const {
  const bool shown = secrets_ == Secrets::shown;
  std::string out;
  for (int i = 0; i == 0 || i < d.credentials_size(); ++i) {
    static const pb::Credential kNone;
    const pb::Credential& c = i < d.credentials_size() ? d.credentials(i) : kNone;
    std::vector<std::string> cells{std::string(tenant), d.site(),    d.name(),
                                   d.display_name(),    d.product(), enabled(d) ? "" : "false",
                                   d.firmware(),        d.parent(),  d.child(),
                                   d.executor(),        c.auth_id()};
    cells.push_back(shown ? c.password_hash() : "");
    cells.push_back(shown ? c.key() : "");
    cells.push_back(c.certificate());
    cells.push_back(c.has_not_before() ? time_of(c.not_before()) : "");
    cells.push_back(c.has_not_after() ? time_of(c.not_after()) : "");
    for (const std::string& label : labels_) {
      const auto it = d.labels().find(label);
      cells.push_back(it == d.labels().end() ? "" : it->second);
    }
    out += line(cells);
  }
  return out;
}

}  // namespace berth::gateway::registry
