// The constructors of all storage drivers: what the table in drivers.cc is made of.
#pragma once

#include "storage/driver.h"

namespace evp::storage {

std::span<const option_spec> aws_options();
result<made_driver> make_aws(const option_values& options, const driver_context& context);

std::span<const option_spec> azure_options();
result<made_driver> make_azure(const option_values& options, const driver_context& context);

std::span<const option_spec> local_options();
result<made_driver> make_local(const option_values& options, const driver_context& context);

std::span<const option_spec> alibaba_oss_options();
result<made_driver> make_alibaba_oss(const option_values& options, const driver_context& context);

std::span<const option_spec> b2_options();
result<made_driver> make_b2(const option_values& options, const driver_context& context);

std::span<const option_spec> baidu_bos_options();
result<made_driver> make_baidu_bos(const option_values& options, const driver_context& context);

std::span<const option_spec> gcp_options();
result<made_driver> make_gcp(const option_values& options, const driver_context& context);

std::span<const option_spec> huawei_obs_options();
result<made_driver> make_huawei_obs(const option_values& options, const driver_context& context);

std::span<const option_spec> oci_options();
result<made_driver> make_oci(const option_values& options, const driver_context& context);

std::span<const option_spec> qiniu_options();
result<made_driver> make_qiniu(const option_values& options, const driver_context& context);

std::span<const option_spec> tencent_cos_options();
result<made_driver> make_tencent_cos(const option_values& options, const driver_context& context);

std::span<const option_spec> volcengine_tos_options();
result<made_driver> make_volcengine_tos(const option_values& options, const driver_context& context);

std::span<const option_spec> http_options();
result<made_driver> make_http(const option_values& options, const driver_context& context);

std::span<const option_spec> swift_options();
result<made_driver> make_swift(const option_values& options, const driver_context& context);

std::span<const option_spec> webhook_options();
result<made_driver> make_webhook(const option_values& options, const driver_context& context);

}  // namespace evp::storage
