// Copies of an embedded store (rocks_store.h). A copy is a database like the one it was made of.
#pragma once

#include <functional>
#include <string>

namespace rocksdb {
class DB;
}

namespace berth::session {

// The database as it is at one moment, in a directory that does not exist yet and lies on the same
// file system: files that never change are shared with it as hard links. The database takes writes
// meanwhile. Blocking; throws std::runtime_error, and then `directory` may be there in part.
void copy_database(rocksdb::DB& db, const std::string& database, const std::string& directory);

// Reads all of a database that no process has open, and writes nothing. Throws std::runtime_error:
// it is none, it is of a newer format, a part of it is damaged, or `give_up` says so, which is
// asked again and again. Blocking.
void verify_database(const std::string& directory, const std::function<bool()>& give_up = {});

}  // namespace berth::session
