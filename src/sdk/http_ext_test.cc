#include "sdk/http_ext.h"

#include <gmock/gmock.h>

#include "evp/sdk.h"

namespace {

TEST(http_ext_requests, know_the_header_of_block_blobs) {
  auto* request = EVP_BlobRequestHttpExt_initialize();
  EXPECT_EQ(EVP_BlobRequestHttpExt_addAzureHeader(request), EVP_OK);
  EXPECT_THAT(request->headers, testing::ElementsAre("x-ms-blob-type: BlockBlob"));
  EVP_BlobRequestHttpExt_free(request);
}

}  // namespace
