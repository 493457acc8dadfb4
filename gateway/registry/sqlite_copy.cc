#include "gateway/registry/sqlite_copy.h"

#include <sqlite3.h>

#include <memory>
#include <stdexcept>

namespace berth::gateway::registry {
namespace {

constexpr int kCopyBusy_ms = 5000;

struct Close {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
};
using Database = std::unique_ptr<sqlite3, Close>;

[[noreturn]] void fail_at(const std::string& path, sqlite3* db) {
  throw std::runtime_error(path + ": " + (db == nullptr ? "no memory" : sqlite3_errmsg(db)));
}

Database opened(const std::string& path, int flags) {
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Database owned(db);
  if (code != SQLITE_OK) fail_at(path, db);
  sqlite3_busy_timeout(db, kCopyBusy_ms);
  return owned;
}

// The first column of the statement's first row, after `argument` has been bound; empty: no row.
std::string first_of(const Database& db, const std::string& path, const char* sql,
                     const std::string& argument = {}) {
  sqlite3_stmt* made = nullptr;
  if (sqlite3_prepare_v2(db.get(), sql, -1, &made, nullptr) != SQLITE_OK) fail_at(path, db.get());
  const std::unique_ptr<sqlite3_stmt, Close> s(made);
  if (!argument.empty())
    sqlite3_bind_text(made, 1, argument.c_str(), static_cast<int>(argument.size()),
                      SQLITE_TRANSIENT);
  const int code = sqlite3_step(made);
  if (code != SQLITE_ROW && code != SQLITE_DONE) fail_at(path, db.get());
  const unsigned char* const text = code == SQLITE_ROW ? sqlite3_column_text(made, 0) : nullptr;
  return text == nullptr ? std::string() : reinterpret_cast<const char*>(text);
}

}  // namespace

void copy_sqlite(const std::string& from, const std::string& to) {
  const Database db = opened(from, SQLITE_OPEN_READWRITE);  // a WAL can't be read without writing
  first_of(db, from, "VACUUM INTO ?1", to);
}

void verify_sqlite(const std::string& path) {
  const Database db = opened(path, SQLITE_OPEN_READONLY);
  const std::string found = first_of(db, path, "PRAGMA quick_check(1)");
  if (found != "ok") throw std::runtime_error(path + ": " + found);
  first_of(db, path, "SELECT count(*) FROM registry");
}

}  // namespace berth::gateway::registry
