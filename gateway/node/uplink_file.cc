#include "gateway/node/uplink_file.h"

#include <exception>
#include <string>
#include <utility>

#include "base/log.h"
#include "gateway/engine/engine_shard.h"
#include "gateway/node/good_files.h"
#include "gateway/runtime/degraded.h"

namespace berth::gateway {

UplinkFile::UplinkFile(boost::asio::io_context& io, Reload* reload, const Config& config,
                       engine::EngineShard& engine, tracing::Tracer* tracer)
    : config_(config),
      service_({.io = io,
                .broker = engine.broker(),
                .partition = config.broker.partition,
                .now = [&engine] { return engine.now(); },
                .turn_end = [&engine] { engine.turn_end(); },
                .max_bytes = config.uplinks_max_bytes,
                .files_dir = config.uplinks_files_dir,
                .tracer = tracer}) {
  engine.answerer().use(protocol::link::AskKind::uplinks,
                        [this](const protocol::link::Question& q, const link::Answered& answered) {
                          service_.answer(q.bytes, [answered](std::string bytes) {
                            answered({protocol::link::AskError::none, std::move(bytes)});
                          });
                        });
  engine.count_with([this](std::vector<metrics::Sample>& out) { service_.add_samples(out); });
  service_.use(load_uplinks(config));
  if (reload == nullptr || config.uplinks_file.empty()) return;
  follows_ = reload->on_taken([this](const Reload::Taken& t) {
    if (t.has(config_.uplinks_file)) read_again();
  });
}

void UplinkFile::read_again() {
  try {
    uplink::read_uplinks(config_.uplinks_file);  // throws, whatever else is forgiven
    service_.use(load_uplinks(config_));
    BERTH_LOG(info, "uplinks.file read again");
  } catch (const std::exception& e) {
    runtime::set_degraded(runtime::Part::uplinks_file, e.what());
    BERTH_LOG(err, "uplinks.file not taken, the uplinks of before stay error=\"{}\"", e.what());
  }
}

}  // namespace berth::gateway
