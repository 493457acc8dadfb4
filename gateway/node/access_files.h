// Rules and users of files (auth.acl_file, auth.password_file) while an engine serves: taken anew
// with the set of files of which they are a part (reload.h), both in one turn. A bad file changes
// nothing: the last good one stays in force, which is logged and counted. On the engine's thread,
// where the files are parsed too: a password file of 100,000 users takes 0.1 s. Owned by who owns
// the engine; ends before it.
//
// A user whose password is another one, or who is gone, is disconnected. A password file that names
// nobody is taken for one that is being written.
#pragma once

#include <memory>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/engine/password_file.h"
#include "gateway/node/reload.h"

namespace berth::gateway {

namespace engine {
class EngineShard;
}

class AccessFiles {
 public:
  // `read`: the set that the engine has read its files from; null: from the disk.
  AccessFiles(Reload& reload, std::shared_ptr<const runtime::FileSet> read, const Config& config,
              engine::EngineShard& engine);

 private:
  void hear(const std::vector<Wrong>& wrong);
  void read_rules();
  void read_users();
  const Config& config_;
  engine::EngineShard& engine_;
  std::shared_ptr<const engine::PasswordFile> users_;
  std::vector<Reload::Subscription> follows_;
};

}  // namespace berth::gateway
