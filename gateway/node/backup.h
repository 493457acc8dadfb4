// A backup of a gateway with the embedded store (docs/operations.md, "Backup and restore"): a
// directory with the store, its mark, the registry and the key of quarantines, all as they were at
// about one moment. Blocking, any thread; all of it throws std::runtime_error.
//
//   backup.json      name, made_at, version, bytes
//   store/           the database: its files that never change are hard links of the store's
//   store.mark       how far the database had come before it was copied
//   registry.db      registry.source: store
//   quarantine.key
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace berth::gateway {

inline constexpr const char* kBackups = "backups";         // in store.directory
inline constexpr const char* kBackupNote = "backup.json";  // written last

struct BackupNote {
  std::string name;     // 20260131T080000Z
  std::string made_at;  // RFC 3339
  std::string version;  // of the gateway
  std::uint64_t bytes = 0;
};

// Makes `directory`/backups/NAME, proves it (prove_backup) and makes it durable; then removes the
// oldest but for `kept`. What was left of a backup that did not come to its end goes first.
// `copy_store`: RocksStore::copier(). `give_up`: asked again and again. Throws with nothing left
// where it fails.
BackupNote make_backup(const std::string& directory, const std::string& name, std::size_t kept,
                       const std::function<void(const std::string& to)>& copy_store,
                       const std::function<bool()>& give_up = {});

// Those that are whole, the newest last.
std::vector<BackupNote> backups_in(const std::string& directory);

// Reads all of a backup.
void prove_backup(const std::string& backup, const std::function<bool()>& give_up = {});

// Puts a copy of the backup into the place of what `directory` (store.directory) holds, after the
// copy has been proved; the backup stays as it is. REQUIRES: no gateway runs on the directory (it
// throws if one does). store.mark stays, so that the gateway counts what is lost. Returns where the
// files lie that were there before; empty: there were none.
std::string restore_backup(const std::string& backup, const std::string& directory);

// A name for now: UTC, to the second.
std::string backup_name();

}  // namespace berth::gateway
