#include "gateway/node/sample_sender.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

#include "gateway/link/samples.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/good_files.h"
#include "gateway/node/process.h"
#include "metrics/link_names.h"

namespace berth::gateway {

void SampleSender::answer(std::uint64_t id, std::uint64_t version, std::function<Figures()> begin) {
  asked_ = id;
  version_ = version;
  begin_ = std::move(begin);
  if (!busy_) start();
}

void SampleSender::start() {
  busy_ = asked_.has_value();
  if (!busy_) return;
  Figures f = begin_();
  const bool whole = version_ >= kWholeSince;
  usage_ = whole ? std::move(f.usage) : most_used(std::move(f.usage));
  if (!whole) std::erase_if(f.samples, [](const metrics::Sample& s) { return !s.plain(); });
  at_ = 0;
  payload_.clear();
  link::put_samples(payload_, *std::exchange(asked_, std::nullopt), f.samples);
  go_on();
}

void SampleSender::go_on() {
  if (at_ == usage_.size()) {
    send_(payload_);
    payload_ = {};
    usage_ = {};
    return start();
  }
  const auto first = usage_.begin() + static_cast<std::ptrdiff_t>(at_);
  at_ = std::min(at_ + kUsagesAtOnce, usage_.size());
  const auto last = usage_.begin() + static_cast<std::ptrdiff_t>(at_);
  const Usages part(std::make_move_iterator(first), std::make_move_iterator(last));
  const bool whole = version_ >= kWholeSince;
  link::append_samples(payload_, whole ? std::vector{usage_report(part)} : usage_samples(part));
  boost::asio::post(io_, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) go_on();
  });
}

metrics::Sample unconfirmed_sample(std::int64_t ms) {
  return {metrics::kStoreUnconfirmed,
          "",
          "",
          "Time since the last confirmed write, while a commit fails or is not answered; else 0",
          false,
          static_cast<std::uint64_t>(ms),
          metrics::Sample::Unit::milliseconds};
}

std::string take_store_trouble(std::vector<metrics::Sample>& samples) {
  const auto it = std::find_if(samples.begin(), samples.end(),
                               [](const metrics::Sample& s) { return s.family == kStoreTrouble; });
  if (it == samples.end()) return {};
  std::string why = it->label_value;
  samples.erase(it);
  return why;
}

SampleSender::Figures figures_of(engine::EngineShard& engine, const metrics::EngineProbe& probe,
                                 const session::StoreCondition& condition) {
  engine.refresh_gauges();
  std::vector<metrics::Sample> samples = metrics::samples_of(probe);
  samples.push_back(writes_lost_sample(condition));
  engine.add_more_samples(samples);
  samples.push_back(files_replaced_sample());
  for (auto& s : degraded_samples(kEngineParts)) samples.push_back(std::move(s));
  samples.push_back(unconfirmed_sample(engine.commits().unconfirmed_ms()));
  if (std::string why = engine.commits().trouble(); !why.empty())
    samples.push_back({kStoreTrouble, "why", std::move(why), "", false, 1});
  return {std::move(samples), usage_of(engine.broker())};
}

}  // namespace berth::gateway
