// A real Vendure server for Onhand's tests: everything in memory, on loopback only, gone when it ends.
//
// Prints `READY <address>` when it has a catalogue to sell (VEN-001 …, 100 of each) and a way to pay.
// Ends when its standard input does, so that it never outlives the test that started it.
// Environment: PORT (one is chosen unless told), LISTINGS (20 unless told).

import { createServer } from 'node:net';

import { bootstrap, DefaultJobQueuePlugin, DefaultLogger, dummyPaymentHandler, LogLevel } from '@vendure/core';

process.env.VENDURE_DISABLE_TELEMETRY = 'true';

const listings = Number(process.env.LISTINGS ?? 20);

function freePort() {
    return new Promise((resolve, reject) => {
        const probe = createServer();
        probe.on('error', reject);
        probe.listen(0, '127.0.0.1', () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}

const port = Number(process.env.PORT) || (await freePort());
const address = `http://127.0.0.1:${port}`;

const app = await bootstrap({
    apiOptions: { hostname: '127.0.0.1', port, adminApiPath: 'admin-api', shopApiPath: 'shop-api' },
    authOptions: {
        tokenMethod: ['bearer'],
        superadminCredentials: { identifier: 'superadmin', password: 'superadmin' },
    },
    dbConnectionOptions: { type: 'better-sqlite3', database: ':memory:', synchronize: true, logging: false },
    logger: new DefaultLogger({ level: LogLevel.Error }),
    paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
    plugins: [DefaultJobQueuePlugin.init({})],
});

let token;

async function admin(query, variables = {}) {
    const response = await fetch(`${address}/admin-api`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify({ query, variables }),
    });
    token = response.headers.get('vendure-auth-token') ?? token;
    const { data, errors } = await response.json();
    if (errors) {
        throw new Error(JSON.stringify(errors));
    }
    return data;
}

const named = name => [{ languageCode: 'en', name }];
const described = name => [{ languageCode: 'en', name, description: '' }];

await admin('mutation { login(username: "superadmin", password: "superadmin") { __typename } }');
const { createCountry } = await admin(
    'mutation($input: CreateCountryInput!) { createCountry(input: $input) { id } }',
    { input: { code: 'GB', enabled: true, translations: named('United Kingdom') } },
);
const { createZone } = await admin('mutation($input: CreateZoneInput!) { createZone(input: $input) { id } }', {
    input: { name: 'UK', memberIds: [createCountry.id] },
});
const { createTaxCategory } = await admin(
    'mutation($input: CreateTaxCategoryInput!) { createTaxCategory(input: $input) { id } }',
    { input: { name: 'Standard', isDefault: true } },
);
await admin('mutation($input: CreateTaxRateInput!) { createTaxRate(input: $input) { id } }', {
    input: { name: 'Standard', enabled: true, value: 20, categoryId: createTaxCategory.id, zoneId: createZone.id },
});
const { activeChannel } = await admin('{ activeChannel { id } }');
await admin('mutation($input: UpdateChannelInput!) { updateChannel(input: $input) { __typename } }', {
    input: { id: activeChannel.id, defaultTaxZoneId: createZone.id, defaultShippingZoneId: createZone.id },
});
await admin('mutation($input: CreateShippingMethodInput!) { createShippingMethod(input: $input) { id } }', {
    input: {
        code: 'post',
        fulfillmentHandler: 'manual-fulfillment',
        checker: {
            code: 'default-shipping-eligibility-checker',
            arguments: [{ name: 'orderMinimum', value: '0' }],
        },
        calculator: {
            code: 'default-shipping-calculator',
            arguments: [
                { name: 'rate', value: '500' },
                { name: 'includesTax', value: 'auto' },
                { name: 'taxRate', value: '20' },
            ],
        },
        translations: described('Post'),
    },
});
await admin('mutation($input: CreatePaymentMethodInput!) { createPaymentMethod(input: $input) { id } }', {
    input: {
        code: 'dummy',
        enabled: true,
        handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'true' }] },
        translations: described('Dummy'),
    },
});
for (let number = 1; number <= listings; number += 1) {
    const sku = `VEN-${String(number).padStart(3, '0')}`;
    const name = `Product ${number}`;
    const { createProduct } = await admin(
        'mutation($input: CreateProductInput!) { createProduct(input: $input) { id } }',
        { input: { enabled: true, translations: [{ languageCode: 'en', name, slug: sku.toLowerCase(), description: '' }] } },
    );
    await admin('mutation($input: [CreateProductVariantInput!]!) { createProductVariants(input: $input) { id } }', {
        input: [
            {
                productId: createProduct.id,
                sku,
                price: 1000,
                taxCategoryId: createTaxCategory.id,
                stockOnHand: 100,
                trackInventory: 'TRUE',
                translations: named(name),
            },
        ],
    });
}

console.log(`READY ${address}`);

async function end() {
    await app.close();
    process.exit(0);
}
process.stdin.resume();
process.stdin.on('end', end);
process.on('SIGTERM', end);
