// Clients of the tests' services, with short times.

import ObjectStorageTestSupport
import S3
import Testing

/// Returns a storage on the service, or the proxy, at a port.
func testStorage(
  port: UInt16, prefix: String = "depot", _ change: (inout S3Settings) -> Void = { _ in }
) throws -> S3Storage {
  var settings = S3Settings(
    try #require(S3URL(bucket: TestBucket.name, prefix: prefix)),
    endpoint: try S3Endpoint(parsing: "http://127.0.0.1:\(port)", origin: "a test"),
    credentials: S3Credentials(
      accessKeyID: "id", secretAccessKey: "secret-key", sessionToken: "session-token",
      origin: "a test"))
  settings.limits.connectSeconds = 2
  settings.limits.readSeconds = 0.4
  settings.limits.requestSeconds = 2
  settings.limits.minBytesPerSecond = 1e7
  settings.limits.tries = 3
  settings.limits.pauseSeconds = 0.002
  settings.limits.maxPauseSeconds = 0.01
  settings.limits.keysPerPage = 7
  settings.limits.minPartBytes = 1000
  settings.limits.partBytes = 100_000
  settings.limits.multipartBytes = 900_000
  change(&settings)
  return S3Storage(settings)
}
