// Rules and users of files (auth.acl_file, auth.password_file) while an engine serves: read again
// when they have changed, within some seconds. A bad file changes nothing: the last good one stays
// in force, which is logged and counted. On the engine's thread, where the files are read too: a
// password file of 100,000 users takes 0.1 s. Owned by who owns the engine; ends before it.
//
// A user whose password is another one, or who is gone, is disconnected. A password file that names
// nobody is taken for one that is being written.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "gateway/config/config.h"
#include "gateway/engine/password_file.h"
#include "gateway/runtime/file_watch.h"

namespace berth::gateway {

namespace engine {
class EngineShard;
}

class AccessFiles {
 public:
  AccessFiles(boost::asio::io_context& io, const Config& config, engine::EngineShard& engine);

 private:
  void read_rules();
  void read_users();
  const Config& config_;
  engine::EngineShard& engine_;
  std::shared_ptr<const engine::PasswordFile> users_;
  runtime::FileWatch rules_watch_;  // apart: what has changed is read, and logged
  runtime::FileWatch users_watch_;
};

}  // namespace berth::gateway
