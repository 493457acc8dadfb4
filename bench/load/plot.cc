#include "bench/load/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace berth::bench {

namespace {

constexpr double kWidth = 720, kHeight = 340;
constexpr double kLeft = 70, kRight = 20, kTop = 36, kBottom = 56;
const char* const kColours[] = {"#1f6fb4", "#d1491b", "#2c8a3e", "#7d4bb0", "#8a6d1d"};

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

// One axis: from its range to places on the drawing.
class Scale {
 public:
  Scale(const Axis& axis, double low, double high, double from, double to)
      : axis_(axis), from_(from), to_(to) {
    if (axis.logarithmic) {
      low_ = std::log10(low);
      high_ = std::log10(high);
    } else {
      low_ = std::min(0.0, low);
      high_ = high;
    }
    if (!(high_ > low_)) high_ = low_ + 1;
  }
  bool takes(double v) const { return std::isfinite(v) && (!axis_.logarithmic || v > 0); }
  double at(double v) const {
    const double x = axis_.logarithmic ? std::log10(v) : v;
    return from_ + (x - low_) / (high_ - low_) * (to_ - from_);
  }
  std::vector<std::pair<double, std::string>> ticks() const {
    if (!axis_.ticks.empty()) return axis_.ticks;
    std::vector<std::pair<double, std::string>> all;
    if (axis_.logarithmic) {
      const bool few = high_ - low_ < 2;
      for (int e = static_cast<int>(std::floor(low_)); e <= high_; ++e) {
        for (const double m : {1.0, 2.0, 5.0}) {
          const double v = m * std::pow(10, e);
          if ((m == 1 || few) && std::log10(v) >= low_ - 1e-9 && std::log10(v) <= high_ + 1e-9)
            all.emplace_back(v, number(v));
        }
      }
      return all;
    }
    const double rough = (high_ - low_) / 6;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double step = power * (rough / power < 2 ? 2 : rough / power < 5 ? 5 : 10);
    for (double v = std::ceil(low_ / step) * step; v <= high_; v += step)
      all.emplace_back(v, number(std::abs(v) < step / 1e6 ? 0 : v));
    return all;
  }

 private:
  const Axis& axis_;
  double from_, to_;
  double low_ = 0, high_ = 1;
};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void take(double v, bool logarithmic) {
    if (!std::isfinite(v) || (logarithmic && v <= 0)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  void close() {
    if (low > high) low = high = 1;
  }
};

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return "<line x1='" + number(x1) + "' y1='" + number(y1) + "' x2='" + number(x2) + "' y2='" +
         number(y2) + "' style='" + style + "'/>";
}

std::string text(double x, double y, const char* anchor, const std::string& what,
                 const std::string& more = {}) {
  return "<text x='" + number(x) + "' y='" + number(y) + "' text-anchor='" + anchor + "' " + more +
         ">" + escape_html(what) + "</text>";
}

std::string axes(const Axis& ax, const Axis& ay, const Scale& x, const Scale& y) {
  const char* const kGrid = "stroke:#ddd";
  std::string out;
  for (const auto& [v, label] : x.ticks()) {
    out += line(x.at(v), kTop, x.at(v), kHeight - kBottom, kGrid);
    out += text(x.at(v), kHeight - kBottom + 16, "middle", label);
  }
  for (const auto& [v, label] : y.ticks()) {
    out += line(kLeft, y.at(v), kWidth - kRight, y.at(v), kGrid);
    out += text(kLeft - 6, y.at(v) + 4, "end", label);
  }
  const double middle = (kTop + kHeight - kBottom) / 2;
  out += text((kLeft + kWidth - kRight) / 2, kHeight - 22, "middle", ax.title);
  return out +
         text(14, middle, "middle", ay.title, "transform='rotate(-90 14 " + number(middle) + ")'");
}

std::string drawn(const Line& l, const Scale& x, const Scale& y, const char* colour) {
  std::string path, dots;
  for (const auto& [px, py] : l.points) {
    if (!x.takes(px) || !y.takes(py)) continue;
    const std::string place = number(x.at(px)) + "," + number(y.at(py));
    path += (path.empty() ? "M" : " L") + place;
    if (l.points.size() <= 40)
      dots += "<circle cx='" + number(x.at(px)) + "' cy='" + number(y.at(py)) + "' r='2.5' fill='" +
              colour + "'/>";
  }
  return "<path d='" + path + "' fill='none' stroke='" + colour + "' stroke-width='1.8'/>" + dots;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string plot(const std::string& title, const Axis& ax, const Axis& ay,
                 const std::vector<Line>& lines, const std::vector<double>& marks) {
  Range rx, ry;
  for (const Line& l : lines) {
    for (const auto& [px, py] : l.points) {
      rx.take(px, ax.logarithmic);
      ry.take(py, ay.logarithmic);
    }
  }
  for (const auto& [v, label] : ax.ticks) rx.take(v, ax.logarithmic);
  rx.close();
  ry.close();
  const Scale x(ax, rx.low, rx.high, kLeft, kWidth - kRight);
  const Scale y(ay, ry.low, ry.high, kHeight - kBottom, kTop);
  std::string out = "<svg viewBox='0 0 " + number(kWidth) + " " + number(kHeight) +
                    "' role='img' xmlns='http://www.w3.org/2000/svg' font-family='sans-serif' "
                    "font-size='11' fill='#333'><rect width='100%' height='100%' fill='#fff'/>";
  out += text(kLeft, 20, "start", title, "font-size='14' font-weight='bold'");
  out += axes(ax, ay, x, y);
  for (const double m : marks) {
    if (x.takes(m) && m <= rx.high)
      out += line(x.at(m), kTop, x.at(m), kHeight - kBottom, "stroke:#c33;stroke-dasharray:4 3");
  }
  double at = kLeft;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const char* const colour = kColours[i % std::size(kColours)];
    out += drawn(lines[i], x, y, colour);
    out += "<rect x='" + number(at) + "' y='" + number(kHeight - 14) +
           "' width='10' height='10' fill='" + colour + "'/>";
    out += text(at + 14, kHeight - 5, "start", lines[i].name);
    at += 30 + 6.2 * static_cast<double>(lines[i].name.size());
  }
  return out + "</svg>\n";
}

}  // namespace berth::bench
