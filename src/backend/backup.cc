#include "backend/backup.h"

#include "backend/modules.h"
#include "sql/backup.h"

namespace evp::backend {
namespace {

result<void> copy_safely(const io::fs::path& from, const io::fs::path& to) {
  TRY(const auto bytes, io::read_file(from, modules::max_module_bytes));
  return io::write_file_durably(to, bytes, 0600);
}

io::fs::path database_file_in(const io::fs::path& data_dir) { return data_dir / "backend.db"; }

}  // namespace

std::string database_url_in(const io::fs::path& data_dir) {
  return "sqlite://" + io::fs::absolute(database_file_in(data_dir)).string();
}
io::fs::path master_key_file_in(const io::fs::path& data_dir) { return data_dir / "master.key"; }

result<void> back_up(const backup_order& o) {
  std::error_code ec;
  if (!io::fs::exists(o.data_dir, ec)) return fail(errc::not_found, "there is no data folder " + o.data_dir.string());
  if (io::fs::exists(o.to, ec))
    return fail(errc::already_exists, o.to.string() + " exists: a backup goes into a new folder");
  CHECK(io::make_directories(o.to, 0700));
  CHECK(io::make_directories(o.to / "modules", 0700));
  // First the database: module files that its rows name are there before the rows, and stay unchanged.
  CHECK(sql::back_up(o.database_url.empty() ? database_url_in(o.data_dir) : o.database_url, database_file_in(o.to)));
  const auto key = o.master_key_file.empty() ? master_key_file_in(o.data_dir) : o.master_key_file;
  if (io::fs::exists(key, ec)) CHECK(copy_safely(key, master_key_file_in(o.to)));
  for (const auto& name : o.others)
    if (io::fs::exists(o.data_dir / name, ec)) CHECK(copy_safely(o.data_dir / name, o.to / name));
  for (const auto& file : io::fs::directory_iterator(o.data_dir / "modules", ec))
    if (file.is_regular_file(ec) && !file.path().filename().string().starts_with('.'))
      CHECK(copy_safely(file.path(), o.to / "modules" / file.path().filename()));
  return io::sync_directory(o.to);
}

}  // namespace evp::backend
