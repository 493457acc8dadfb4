// The uplinks of one engine by their file (uplinks.file): read when the engine begins to serve, and
// again with the set of files of which it is a part (reload.h). A bad file changes nothing: the
// uplinks of before go on. On the engine's thread; owned by who owns the engine, ends before it.
#pragma once

#include <boost/asio/io_context.hpp>

#include "gateway/config/config.h"
#include "gateway/node/reload.h"
#include "gateway/uplink/uplink_service.h"

namespace berth::gateway {

namespace engine {
class EngineShard;
}

class UplinkFile {
 public:
  // `reload` null: the file stays as read. `tracer` null: no spans; else it outlives this.
  UplinkFile(boost::asio::io_context& io, Reload* reload, const Config& config,
             engine::EngineShard& engine, tracing::Tracer* tracer);

 private:
  void read_again();

  const Config& config_;
  uplink::UplinkService service_;
  Reload::Subscription follows_;
};

}  // namespace berth::gateway
