// A line plot as inline SVG: no script, nothing from elsewhere.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace berth::bench {

struct Axis {
  std::string title;
  bool logarithmic = false;
  std::vector<std::pair<double, std::string>> ticks = {};  // none: by its range
};
struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;
};
// Points that a logarithmic axis has no place for (0 and below) are left out. `marks`: vertical
// lines.
std::string plot(const std::string& title, const Axis& x, const Axis& y,
                 const std::vector<Line>& lines, const std::vector<double>& marks = {});

std::string escape_html(const std::string& text);

}  // namespace berth::bench
