// Signatures against published vectors.

import Codec
import S3
import Testing

@Suite struct SigningTests {
  private func authorization(
    _ vector: SigningVector, _ signer: RequestSigner, host: String, seconds: Int64
  ) -> String? {
    let hash = SHA256.digest(of: Array(vector.body.utf8)).hex
    let request = RequestSigner.Request(
      vector.method, path: vector.path, query: vector.query.map { (name: $0.0, value: $0.1) },
      host: host,
      headers: vector.headers.map { (name: $0.0, value: $0.1) }
        + (vector.signsBody ? [("x-amz-content-sha256", hash)] : []),
      bodyHash: hash)
    return signer.headers(for: request, at: seconds).first { $0.name == "authorization" }?.value
  }

  @Test(arguments: SigningVector.suite)
  func `a request of the test suite gets its signature`(_ vector: SigningVector) throws {
    let signer = RequestSigner(
      S3Credentials(
        accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        sessionToken: vector.token, origin: "a test"),
      region: "us-east-1", service: "service")
    let text = try #require(
      authorization(vector, signer, host: "example.amazonaws.com", seconds: 1_440_938_160))
    #expect(text.hasSuffix("Signature=\(vector.signature)"))
    #expect(
      text.hasPrefix(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "))
  }

  @Test(arguments: SigningVector.s3Examples)
  func `an example of the S3 reference gets its signature`(_ vector: SigningVector) throws {
    let signer = RequestSigner(
      S3Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE",
        secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", origin: "a test"),
      region: "us-east-1")
    let text = try #require(
      authorization(
        vector, signer, host: "examplebucket.s3.amazonaws.com", seconds: 1_369_353_600))
    #expect(text.hasSuffix("Signature=\(vector.signature)"))
  }

  @Test func `credentials print their origin, and no key`() {
    let keys = S3Credentials(
      accessKeyID: "AKID-1", secretAccessKey: "SECRET-2", sessionToken: "TOKEN-3",
      origin: "profile p of FILE")
    var dumped = ""
    dump(keys, to: &dumped)
    for text in ["\(keys)", String(reflecting: keys), dumped] {
      #expect(!text.contains("AKID-1") && !text.contains("SECRET-2") && !text.contains("TOKEN-3"))
      #expect(text.contains("profile p of FILE"))
    }
  }
}
