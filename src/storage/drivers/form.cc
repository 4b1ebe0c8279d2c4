#include "storage/drivers/form.h"

#include "base/crypto.h"

namespace evp::storage {

result<signed_request> form_request(secret url, const auth::post_form& fields, bool open_key,
                                    std::string_view file_type) {
  constexpr std::size_t most = 8 * 1024;
  const auto boundary = "evp-" + random_id(32);
  const auto head = "--" + boundary + "\r\nContent-Disposition: form-data; name=\"";
  signed_request r{.method = "POST", .url = std::move(url), .expect = {200, 201, 204}};
  r.fields = {{"Content-Type", "multipart/form-data; boundary=" + boundary}};
  std::string text, before_key;
  for (const auto& [name, value] : fields) {
    text.append(head).append(name).append("\"\r\n\r\n");
    if (open_key && name == "key") {
      before_key = std::move(text);
      text = "\r\n";
    } else {
      text.append(value.reveal()).append("\r\n");
    }
  }
  text.append(head).append("file\"; filename=\"file\"\r\nContent-Type: ").append(file_type).append("\r\n\r\n");
  if (text.size() + before_key.size() > most)
    return fail(errc::invalid_argument, "headers", "the form around an upload is longer than a grant may carry");
  if (open_key) {
    r.slot = signed_request::name_slot::body;
    r.body_prefix = secret(std::move(before_key));
    r.after_name = secret(std::move(text));
  } else {
    r.body_prefix = secret(std::move(text));
  }
  r.body_suffix = secret("\r\n--" + boundary + "--\r\n");
  return r;
}

}  // namespace evp::storage
