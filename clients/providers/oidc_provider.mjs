// An OpenID Connect provider on loopback, with people who log in by a form.
//
//   node oidc_provider.mjs PORT [CONFIGURATION]
//
// The configuration is JSON: `clients`, as OpenID Connect Dynamic Client Registration writes them;
// `people`, claims and a password by name, and an `acr` by which they log in; `require_pkce` (true);
// `pushed_only` (false), to take no request but by RFC 9126; `bare_id_token` (false), to tell claims by
// userinfo alone; `token_seconds` (600); `tls`, for https, with files: `certificate`, `key`, and the
// `authorities` of certificates that clients show.
//
// Tests steer it by POST, with JSON, while it runs:
//   /control/clients  replaces the clients
//   /control/rotate   signs with a new key from now on; {"keep": false} forgets the old one
//   /control/logout   ends somebody's sessions, {"name"}, and tells their clients by back channel
//   /control/proofs   answers how clients proved who they are when they were granted tokens
//   /control/logout_token  signs a logout token with these {"claims"} instead of the usual ones (null
//                     leaves one out); {"forged": true} with a key that is not its own
//
// Somebody who logged in has agreed to everything.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { text } from 'node:stream/consumers';

import { installed } from './installed.mjs';

const { Provider, errors } = await installed('oidc-provider');
const { SignJWT, importJWK } = await installed('jose');

const port = Number(process.argv[2]);
const {
  people,
  require_pkce = true,
  pushed_only = false,
  bare_id_token = false,
  token_seconds = 600,
  tls,
  ...configuration
} = JSON.parse(process.argv[3] || '{}');
let clients = configuration.clients || [];

const issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
const cookieKeys = [randomUUID()];
const scopes = ['openid', 'offline_access', 'profile', 'email', 'groups'];
const methods = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'];
let keys = [newKey()];
let sessions = [];
const proofs = [];
let provider = build();

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

/** A provider with the clients and keys of now. What was issued before is still known to it. */
function build() {
  const built = new Provider(issuer, {
    clients,
    jwks: { keys },
    cookies: { keys: cookieKeys },
    acrValues: ['urn:mfa', 'pwd'],
    scopes,
    clientAuthMethods: tls ? [...methods, 'tls_client_auth'] : methods,
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    // The ID token has the claims too, as those of most providers do, unless it is to be bare.
    conformIdTokenClaims: bare_id_token,
    // So has what is said of access tokens, in them or by introspection.
    extraTokenClaims: (ctx, token) => token.accountId && { groups: people[token.accountId].groups },
    findAccount: (ctx, name) => account(name),
    loadExistingGrant: agree,
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => require_pkce },
    ttl: {
      AccessToken: token_seconds,
      AuthorizationCode: 60,
      ClientCredentials: token_seconds,
      DeviceCode: 600,
      Grant: 86400,
      IdToken: token_seconds,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: (ctx, form, out, err) => {
          const button = '<button type="submit" form="op.deviceInputForm">Continue</button>';
          ctx.body = page('Device', `${err ? '<p>This code is not known.</p>' : ''}${form}${button}`);
        },
        userCodeConfirmSource: (ctx, form, client, device, code) => {
          const button = '<button type="submit" form="op.deviceConfirmForm">Confirm</button>';
          ctx.body = page('Device', `<p>The device shows ${code}.</p>${form}${button}`);
        },
        successSource: (ctx) => {
          ctx.body = page('Device', '<p>The device is connected.</p>');
        },
      },
      introspection: { enabled: true },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: pushed_only },
      mTLS: {
        enabled: Boolean(tls),
        tlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate()?.toString(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) => {
          const names = ctx.socket.getPeerX509Certificate().subject.split('\n').reverse();
          return property === 'tls_client_auth_subject_dn' && names.join(',') === expected;
        },
      },
      // A token for a named audience is a JWT; others are opaque.
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: scopes.join(' '),
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: token_seconds,
        }),
      },
      revocation: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          const button = '<button type="submit" form="op.logoutForm" name="logout" value="yes">Log out</button>';
          ctx.body = page('Log out', `${form}${button}`);
        },
        postLogoutSuccessSource: (ctx) => {
          ctx.body = page('Log out', '<p>You are logged out.</p>');
        },
      },
    },
    // Clients of a test are on loopback, which is not asked otherwise.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    renderError: (ctx, out) => {
      ctx.body = page('Error', `<p>${escape(out.error)}: ${escape(out.error_description || '')}</p>`);
    },
  });
  built.registerGrantType('password', passwordGrant, ['username', 'password', 'scope']);
  built.on('authorization_code.saved', ({ accountId, clientId, sid }) => {
    sessions.push({ accountId, clientId, sid });
  });
  built.on('grant.success', ({ headers, oidc }) => {
    const [scheme] = (headers.authorization || '').split(' ');
    proofs.push({ client: oidc.client.clientId, scheme, fields: Object.keys(oidc.body) });
  });
  built.on('server_error', (ctx, error) => console.error(error));
  return built;
}

function account(name) {
  const person = people?.[name];
  if (!person) return undefined;
  const { password, acr, ...claims } = person;
  return { accountId: name, claims: () => ({ ...claims, sub: name }) };
}

function knows(name, password) {
  return Object.hasOwn(people || {}, name) && people[name].password === password;
}

/** The grant of somebody who agrees to what a client asks. */
async function agree(ctx) {
  const { client, provider: asked, session, params, resourceServers } = ctx.oidc;
  const grant = new asked.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope || 'openid');
  for (const resource of Object.keys(resourceServers || {})) grant.addResourceScope(resource, scopes.join(' '));
  await grant.save();
  return grant;
}

/** RFC 6749 section 4.3, which the library leaves out for good reasons, and old clients speak. */
async function passwordGrant(ctx) {
  const { client, params, provider: asked } = ctx.oidc;
  if (!knows(params.username, params.password)) throw new errors.InvalidGrant('wrong name or password');
  const scope = params.scope || 'openid';
  const grant = new asked.Grant({ clientId: client.clientId, accountId: params.username });
  grant.addOIDCScope(scope);
  const token = new asked.AccessToken({
    accountId: params.username,
    client,
    grantId: await grant.save(),
    gty: 'password',
    scope,
  });
  ctx.body = { access_token: await token.save(), expires_in: token.expiration, scope, token_type: token.tokenType };
}

async function interaction(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  // Native clients always lead here, because others can pose as them.
  if (prompt.name === 'consent') return provider.interactionFinished(request, response, { consent: {} });
  if (request.method !== 'POST') return html(response, 200, loginForm(params.client_id));
  const form = new URLSearchParams(await text(request));
  if (form.has('cancel')) {
    const error = { error: 'access_denied', error_description: 'the user does not want to' };
    return provider.interactionFinished(request, response, error, { mergeWithLastSubmission: false });
  }
  if (!knows(form.get('name'), form.get('password'))) {
    return html(response, 401, loginForm(params.client_id, '<p>Wrong name or password.</p>'));
  }
  const login = { accountId: form.get('name'), acr: people[form.get('name')].acr };
  return provider.interactionFinished(request, response, { login });
}

function loginForm(client, message = '') {
  return page('Log in', `${message}<p>${escape(client)} asks who you are.</p>
<form method="post">
<label>Name <input name="name" autofocus></label>
<label>Password <input name="password" type="password"></label>
<button type="submit" name="login" value="yes">Log in</button>
<button type="submit" name="cancel" value="yes">Cancel</button>
</form>`);
}

const controls = {
  clients(wanted) {
    clients = wanted;
    provider = build();
    return {};
  },

  rotate({ keep = true }) {
    keys = keep ? [newKey(), ...keys] : [newKey()];
    provider = build();
    return { kids: keys.map((key) => key.kid) };
  },

  /** Answers which clients were told, and how that went. */
  async logout({ name }) {
    const ended = sessions.filter(({ accountId }) => accountId === name);
    sessions = sessions.filter(({ accountId }) => accountId !== name);
    const told = [];
    for (const { clientId, sid } of ended) {
      const client = await provider.Client.find(clientId);
      if (!client?.backchannelLogoutUri) continue;
      const answer = await client.backchannelLogout(name, sid).then(() => 'accepted', (error) => error.message);
      told.push({ client: clientId, answer });
    }
    return { told };
  },

  proofs() {
    return { proofs };
  },

  async logout_token({ claims = {}, forged = false }) {
    const now = Math.floor(Date.now() / 1000);
    const usual = {
      iss: issuer,
      aud: clients[0].client_id,
      iat: now,
      exp: now + 120,
      jti: randomUUID(),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    };
    const said = Object.entries({ ...usual, ...claims }).filter(([, value]) => value !== null);
    const [{ kid, alg }] = keys;
    const key = await importJWK(forged ? newKey() : keys[0], alg);
    const header = { alg, kid, typ: 'logout+jwt' };
    return { logout_token: await new SignJWT(Object.fromEntries(said)).setProtectedHeader(header).sign(key) };
  },
};

async function serve(request, response) {
  try {
    const [, place, what] = new URL(request.url, issuer).pathname.split('/');
    if (place === 'interaction') {
      await interaction(request, response);
    } else if (place === 'control' && request.method === 'POST' && Object.hasOwn(controls, what)) {
      const answer = await controls[what](JSON.parse((await text(request)) || '{}'));
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(answer));
    } else {
      await provider.callback()(request, response);
    }
  } catch (error) {
    console.error(error);
    html(response, 500, page('Error', `<p>${escape(error.message)}</p>`));
  }
}

function html(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' });
  response.end(body);
}

function page(title, body) {
  return `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<h1>${title}</h1>
${body}
</html>`;
}

function escape(words) {
  return String(words).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

const server = tls
  ? createSecureServer(
      {
        cert: readFileSync(tls.certificate),
        key: readFileSync(tls.key),
        ca: readFileSync(tls.authorities),
        // Browsers have no certificate; what clients must show is judged where they show it.
        requestCert: true,
        rejectUnauthorized: false,
      },
      serve,
    )
  : createServer(serve);
server.listen(port, '127.0.0.1');
await once(server, 'listening');
process.on('SIGTERM', () => process.exit(0));
