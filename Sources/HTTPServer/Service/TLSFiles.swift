// Certificate and key of the server (PEM).

import NIOSSL
import Platform

/// The files of a certificate chain and its key.
public struct TLSFiles: Sendable {
  public let certificate: String
  public let key: String

  /// Creates a pair of paths.
  public init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }

  /// Reads the files.
  /// - Throws: `ServerError` if one of them cannot be read, or they do not belong together.
  func context() throws(ServerError) -> NIOSSLContext {
    let chain: [NIOSSLCertificate]
    do {
      chain = try NIOSSLCertificate.fromPEMFile(certificate)
    } catch { throw failure(certificate, "is not a readable certificate in PEM form") }
    guard !chain.isEmpty else { throw failure(certificate, "has no certificate") }
    let privateKey: NIOSSLPrivateKey
    do {
      privateKey = try NIOSSLPrivateKey(file: key, format: .pem)
    } catch { throw failure(key, "is not a readable private key in PEM form without a passphrase") }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = ["http/1.1"]
    do {
      return try NIOSSLContext(configuration: configuration)
    } catch {
      throw ServerError(
        "TLS",
        "cannot use certificate \(printable(certificate.utf8)) with key \(printable(key.utf8))",
        hint:
          "Check that both belong together: 'openssl x509 -noout -pubkey' and 'openssl pkey -pubout'",
        form: .clause)
    }
  }

  private func failure(_ path: String, _ reason: String) -> ServerError {
    ServerError(
      .configInvalid, printable(path.utf8), reason, hint: "Check the path and its permissions")
  }
}
