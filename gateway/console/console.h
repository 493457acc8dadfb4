// The console (docs/console.md): pages that the binary carries, made by scripts/build-console. They
// hold no secret, so whoever reaches the port may read them; what they show is asked with a
// credential.
#pragma once

#include <cstddef>
#include <string_view>

#include "gateway/admin/http_server.h"

namespace berth::gateway::console {

// A file of the bundle, compressed (gzip). Names of all but index.html have a hash of the content.
struct Asset {
  std::string_view path;  // "/console/index-4f0c2a7d.js"; of index.html "/"
  std::string_view type;  // Content-Type
  std::string_view gzip;
  std::size_t size;  // uncompressed
};
// Generated. None: the binary was built without Node.js.
extern const Asset* const kAssets;
extern const std::size_t kAssetCount;

void serve_console(admin::HttpServer& http);

}  // namespace berth::gateway::console
