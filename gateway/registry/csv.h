// Devices as a table (RFC 4180), for people with a spreadsheet: in UTF-8 with or without a byte
// order mark, or in GB 18030 as Excel in China writes it. The columns are those of
// docs/registry.md, in English or Chinese. Any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/registry/records.h"

namespace berth::gateway::registry {

struct CsvColumn {
  std::string_view name;
  std::string_view in_chinese;
};
std::span<const CsvColumn> csv_columns();
inline constexpr CsvColumn kLabelColumn{"label.", "标签."};  // the label's name follows

// A table as UTF-8 without a byte order mark: what is valid UTF-8 is that, anything else is GB
// 18030. A part of `bytes`, or of `scratch`. Throws BadRecord: it is neither.
std::string_view csv_text(std::string_view bytes, std::string& scratch);

struct CsvRow {
  std::vector<std::string> cells;
  int line = 0;
};
// Throws BadRecord with "line N: why". `text` has to outlive it.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}
  bool next(CsvRow& row);

 private:
  std::string cell();
  std::string quoted();
  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
};

enum class CsvEncoding : unsigned char { utf8, utf8_bom, gb18030 };
// "utf-8", "utf-8-bom", "gb18030"; nothing: another name.
std::optional<CsvEncoding> csv_encoding(std::string_view name);

// The table of some devices, line by line. A device with several credentials has several lines. A
// cell that a spreadsheet would take for a formula gets a ' in front, which an import takes away.
class CsvWriter {
 public:
  static constexpr std::size_t kLabelsMax = 100;  // columns; other labels are left out

  CsvWriter(CsvEncoding encoding, Secrets secrets) : encoding_(encoding), secrets_(secrets) {}
  // First of all devices, so that each label has its column.
  void look_at(const pb::Device& d);
  std::string head() const;
  std::string lines(std::string_view tenant, const pb::Device& d) const;
  bool labels_left_out() const { return left_out_; }

 private:
  std::string line(const std::vector<std::string>& cells) const;
  CsvEncoding encoding_;
  Secrets secrets_;
  std::vector<std::string> labels_;  // in order
  bool left_out_ = false;
};

}  // namespace berth::gateway::registry
