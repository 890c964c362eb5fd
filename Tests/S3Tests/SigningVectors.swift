// Published test vectors of AWS Signature Version 4: facts of the "Signature Version 4 test suite", and the four
// examples of "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API reference.
//
// Left out: vectors of paths that are normalized (keys of S3 are not), of folded header lines, and of a token that
// is added after signing.

import Testing

/// A request and its signature.
struct SigningVector: Sendable, CustomTestStringConvertible {
  let name: String
  let method: String
  let path: String
  let query: [(String, String)]
  let headers: [(String, String)]
  let body: String
  let signsBody: Bool
  let token: String?
  let signature: String

  init(
    _ name: String, _ method: String, _ path: String, query: [(String, String)] = [],
    headers: [(String, String)] = [], body: String = "", signsBody: Bool = false,
    token: String? = nil, signature: String
  ) {
    self.name = name
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
    self.signsBody = signsBody
    self.token = token
    self.signature = signature
  }

  var testDescription: String { name }

  /// The key AKIDEXAMPLE, the host example.amazonaws.com, region us-east-1, service "service",
  /// 2015-08-30 12:36:00 UTC.
  static let suite = [
    SigningVector(
      "get-header-key-duplicate", "GET", "/",
      headers: [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
      signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
    SigningVector(
      "get-header-value-order", "GET", "/",
      headers: [
        ("My-Header1", "value4"), ("My-Header1", "value1"), ("My-Header1", "value3"),
        ("My-Header1", "value2"),
      ],
      signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
    SigningVector(
      "get-header-value-trim", "GET", "/",
      headers: [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
      signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    SigningVector(
      "get-relative-relative-unnormalized", "GET", "/example1/example2/../..",
      signature: "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b"),
    SigningVector(
      "get-relative-unnormalized", "GET", "/example/..",
      signature: "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"),
    SigningVector(
      "get-slash-dot-slash-unnormalized", "GET", "/./",
      signature: "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"),
    SigningVector(
      "get-slash-pointless-dot-unnormalized", "GET", "/./example",
      signature: "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff"),
    SigningVector(
      "get-slash-unnormalized", "GET", "//",
      signature: "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e"),
    SigningVector(
      "get-slashes-unnormalized", "GET", "//example//",
      signature: "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"),
    SigningVector(
      "get-space-normalized", "GET", "/example space/",
      signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    SigningVector(
      "get-space-unnormalized", "GET", "/example space/",
      signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    SigningVector(
      "get-unreserved", "GET",
      "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
      signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    SigningVector(
      "get-utf8", "GET", "/ሴ",
      signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    SigningVector(
      "get-vanilla-empty-query-key", "GET", "/",
      query: [("Param1", "value1")],
      signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    SigningVector(
      "get-vanilla-query-order-encoded", "GET", "/",
      query: [("Param-3", "Value3"), ("Param", "Value2"), ("ሴ", "Value1")],
      signature: "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"),
    SigningVector(
      "get-vanilla-query-order-key-case", "GET", "/",
      query: [("Param2", "value2"), ("Param1", "value1")],
      signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    SigningVector(
      "get-vanilla-query-unreserved", "GET", "/",
      query: [
        (
          "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
          "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        )
      ],
      signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    SigningVector(
      "get-vanilla-query", "GET", "/",
      signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    SigningVector(
      "get-vanilla-utf8-query", "GET", "/",
      query: [("ሴ", "bar")],
      signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    SigningVector(
      "get-vanilla-with-session-token", "GET", "/",
      token: "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
      signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"),
    SigningVector(
      "get-vanilla", "GET", "/",
      signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    SigningVector(
      "post-header-key-case", "POST", "/",
      signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    SigningVector(
      "post-header-key-sort", "POST", "/",
      headers: [("My-Header1", "value1")],
      signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
    SigningVector(
      "post-header-value-case", "POST", "/",
      headers: [("My-Header1", "VALUE1")],
      signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
    SigningVector(
      "post-sts-header-before", "POST", "/",
      token:
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
      signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
    SigningVector(
      "post-vanilla-empty-query-value", "POST", "/",
      query: [("Param1", "value1")],
      signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    SigningVector(
      "post-vanilla-query", "POST", "/",
      query: [("Param1", "value1")],
      signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    SigningVector(
      "post-vanilla", "POST", "/",
      signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    SigningVector(
      "post-x-www-form-urlencoded-parameters", "POST", "/",
      headers: [
        ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("Content-Length", "13"),
      ],
      body: "Param1=value1",
      signsBody: true,
      signature: "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"),
    SigningVector(
      "post-x-www-form-urlencoded", "POST", "/",
      headers: [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "13")],
      body: "Param1=value1",
      signsBody: true,
      signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"),
  ]

  /// The key AKIAIOSFODNN7EXAMPLE, the host examplebucket.s3.amazonaws.com, region us-east-1,
  /// 2013-05-24 00:00:00 UTC.
  static let s3Examples = [
    SigningVector(
      "GET Object", "GET", "/test.txt", headers: [("Range", "bytes=0-9")], signsBody: true,
      signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    SigningVector(
      "PUT Object", "PUT", "/test$file.text",
      headers: [
        ("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
      ],
      body: "Welcome to Amazon S3.", signsBody: true,
      signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    SigningVector(
      "GET Bucket Lifecycle", "GET", "/", query: [("lifecycle", "")], signsBody: true,
      signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    SigningVector(
      "GET Bucket (List Objects)", "GET", "/", query: [("max-keys", "2"), ("prefix", "J")],
      signsBody: true,
      signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
  ]
}
