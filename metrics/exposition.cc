#include "metrics/exposition.h"

#include <libdeflate.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <unordered_map>

#include "metrics/link_names.h"

namespace berth::metrics {
namespace {

constexpr std::string_view kTotal = "_total";
constexpr int kGzipLevel = 1;

void put_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || (c == '"' && quotes)) {
      out.push_back('\\');
      out.push_back(c);
    } else {
      out.push_back(c);
    }
  }
}

void put_number(std::string& out, std::uint64_t v) {
  char digits[24];
  const auto [end, ec] = std::to_chars(digits, digits + sizeof digits, v);
  out.append(digits, end);
}

// Exact: a decimal fraction, without zeros at its end.
void put_value(std::string& out, const Sample& s) {
  const unsigned places = s.unit == Sample::Unit::microseconds   ? 6
                          : s.unit == Sample::Unit::milliseconds ? 3
                                                                 : 0;
  std::uint64_t one = 1;
  for (unsigned i = 0; i < places; ++i) one *= 10;
  put_number(out, s.value / one);
  std::string fraction;
  put_number(fraction, s.value % one);
  if (s.value % one == 0) return;
  fraction.insert(0, places - fraction.size(), '0');
  fraction.erase(fraction.find_last_not_of('0') + 1);
  out.push_back('.');
  out.append(fraction);
}

constexpr std::string_view kExemplary = "berth_command_seconds";

// Bound of a bucket, us.
std::uint64_t bound_of(const Sample& s) {
  const double seconds = std::strtod(s.label_value.c_str(), nullptr);
  return s.label_value == "+Inf" ? UINT64_MAX
                                 : static_cast<std::uint64_t>(std::llround(seconds * 1e6));
}

// The newest one that belongs to the bucket `s`, whose predecessor ends at `above` us.
void put_exemplar(std::string& out, const Sample& s, std::uint64_t above,
                  const std::vector<const Sample*>& exemplars) {
  const Sample* best = nullptr;
  const auto time_of = [](const Sample& e) {
    return std::strtoull(e.label_value.c_str() + e.label_value.find(' '), nullptr, 10);
  };
  for (const Sample* e : exemplars) {
    if (e->value > bound_of(s) || (above != 0 && e->value <= above)) continue;
    if (best == nullptr || time_of(*e) >= time_of(*best)) best = e;
  }
  if (best == nullptr) return;
  out.append(" # {trace_id=\"");
  put_escaped(out, best->label_value.substr(0, best->label_value.find(' ')), true);
  out.append("\"} ");
  put_value(out, *best);
  out.push_back(' ');
  Sample time;
  time.value = time_of(*best);
  time.unit = Sample::Unit::milliseconds;
  put_value(out, time);
}

void put_line(std::string& out, const Sample& s) {
  static constexpr const char* kSuffixes[] = {"", "_bucket", "_sum", "_count"};
  out.append(s.family).append(kSuffixes[static_cast<std::size_t>(s.part)]);
  if (!s.label.empty()) {
    out.append("{").append(s.label).append("=\"");
    put_escaped(out, s.label_value, true);
    out.append("\"}");
  }
  out.push_back(' ');
  put_value(out, s);
}

void put_lines(std::string& out, const std::vector<const Sample*>& family,
               const std::vector<const Sample*>& exemplars) {
  std::uint64_t above = 0;
  for (const Sample* s : family) {
    put_line(out, *s);
    if (s->part == Sample::Part::bucket && s->family == kExemplary && !exemplars.empty()) {
      put_exemplar(out, *s, above, exemplars);
      above = bound_of(*s);
    }
    out.push_back('\n');
  }
}

void put_family(std::string& out, const Sample& s, Format format) {
  std::string_view name = s.family;
  const bool histogram = s.part != Sample::Part::value;
  const bool counter = s.counter && !histogram;
  if (format == Format::open_metrics && counter && name.ends_with(kTotal))
    name.remove_suffix(kTotal.size());
  out.append("# HELP ").append(name).append(" ");
  put_escaped(out, s.help, format == Format::open_metrics);
  out.append("\n# TYPE ").append(name);
  out.append(histogram ? " histogram\n" : counter ? " counter\n" : " gauge\n");
}

void put_build(std::string& out, const BuildInfo& build) {
  out +=
      "# HELP berth_build_info Constant 1, labelled with the build\n"
      "# TYPE berth_build_info gauge\nberth_build_info{version=\"";
  put_escaped(out, build.version, true);
  out += "\",revision=\"";
  put_escaped(out, build.revision, true);
  out += "\"} 1\n";
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool equal(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// How much `header` wants `what`, thousandths; -1: it does not name it.
int wanted(std::string_view header, std::string_view what) {
  int best = -1;
  while (!header.empty()) {
    std::string_view item = header.substr(0, header.find(','));
    header.remove_prefix(std::min(header.size(), item.size() + 1));
    const std::size_t semicolon = item.find(';');
    if (!equal(trimmed(item.substr(0, semicolon)), what)) continue;
    int q = 1000;
    while (item.find(';') != std::string_view::npos) {
      item.remove_prefix(item.find(';') + 1);
      const std::string_view one = trimmed(item.substr(0, item.find(';')));
      if (one.starts_with("q=") || one.starts_with("Q="))
        q = static_cast<int>(std::atof(std::string(one.substr(2)).c_str()) * 1000);
    }
    best = std::max(best, q);
  }
  return best;
}

}  // namespace

std::string exposition(const std::vector<Sample>& samples, const BuildInfo& build, Format format) {
  std::vector<std::vector<const Sample*>> families;
  std::unordered_map<std::string_view, std::size_t> index;
  std::vector<const Sample*> exemplars;
  for (const Sample& s : samples) {
    if (s.family == kCommandExemplar) {
      const bool whole = s.label_value.find(' ') != std::string::npos;
      if (whole && format == Format::open_metrics) exemplars.push_back(&s);
      continue;
    }
    const auto [it, fresh] = index.try_emplace(s.family, families.size());
    if (fresh) families.emplace_back();
    families[it->second].push_back(&s);
  }
  std::string out;
  out.reserve(samples.size() * 64 + 4096);
  put_build(out, build);
  for (const auto& family : families) {
    put_family(out, *family.front(), format);
    put_lines(out, family, exemplars);
  }
  if (format == Format::open_metrics) out += "# EOF\n";
  return out;
}

const char* content_type(Format format) {
  return format == Format::open_metrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

Format format_asked(std::string_view accept) {
  const int open = wanted(accept, "application/openmetrics-text");
  return open > 0 && open >= wanted(accept, "text/plain") ? Format::open_metrics : Format::text;
}

bool takes_gzip(std::string_view accept_encoding) {
  return wanted(accept_encoding, "gzip") > 0;
}

std::string gzipped(std::string_view bytes) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> c(
      libdeflate_alloc_compressor(kGzipLevel), &libdeflate_free_compressor);
  if (!c) return {};
  std::string out(libdeflate_gzip_compress_bound(c.get(), bytes.size()), '\0');
  out.resize(libdeflate_gzip_compress(c.get(), bytes.data(), bytes.size(), out.data(), out.size()));
  return out;
}

}  // namespace berth::metrics
