#include "metrics/registry.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>

namespace berth::metrics {
namespace {

prometheus::MetricFamily build_info(const std::string& version, const std::string& revision) {
  prometheus::MetricFamily f;
  f.name = "berth_build_info";
  f.help = "Constant 1, labelled with the build";
  f.type = prometheus::MetricType::Gauge;
  prometheus::ClientMetric m;
  m.label = {{"version", version}, {"revision", revision}};
  m.gauge.value = 1;
  f.metric.push_back(m);
  return f;
}

}  // namespace

std::string serialize(const std::vector<Sample>& samples, const std::string& version,
                      const std::string& revision) {
  std::vector<prometheus::MetricFamily> families{build_info(version, revision)};
  std::map<std::string, std::size_t> index;
  for (const Sample& s : samples) {
    auto [it, fresh] = index.try_emplace(s.family, families.size());
    if (fresh) {
      prometheus::MetricFamily f;
      f.name = s.family;
      f.help = s.help;
      f.type = s.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
      families.push_back(std::move(f));
    }
    prometheus::ClientMetric m;
    if (!s.label.empty()) m.label.push_back({s.label, s.label_value});
    (s.counter ? m.counter.value : m.gauge.value) = static_cast<double>(s.value);
    families[it->second].metric.push_back(std::move(m));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace berth::metrics
