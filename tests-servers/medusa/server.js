// A real Medusa server for Onhand's tests: on loopback only, without Redis and without the admin's pages.
//
// `node server.js prepare` makes its tables in a new database and something to sell: MED-001 …, 100 of each at `Warehouse`, the first of its two
// places. It prints what is needed to buy and to own, as JSON, and ends.
// `node server.js` serves such a database, or a copy of one: prints `READY <address>`, and ends when its standard input does, so that it never
// outlives the test that started it.
// Environment: DATABASE_URL, PORT (one is chosen unless told), LISTINGS (20 unless told).

const { spawnSync } = require('node:child_process');
const { createServer } = require('node:net');
const path = require('node:path');

// Tests talk to nothing outside this machine.
process.env.MEDUSA_DISABLE_TELEMETRY = 'true';
process.env.NODE_ENV = 'production';
process.env.LOG_LEVEL ??= 'error';
process.chdir(__dirname);

const express = require('express');
const load = require('@medusajs/medusa/loaders/index').default;
const { Modules } = require('@medusajs/framework/utils');
const flows = require('@medusajs/medusa/core-flows');

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

function migrate() {
    const cli = path.join(__dirname, 'node_modules/@medusajs/cli/cli.js');
    const done = spawnSync(process.execPath, [cli, 'db:migrate', '--skip-scripts'], { encoding: 'utf8' });
    if (done.status !== 0) {
        throw new Error(`its database cannot be made: ${done.stdout}${done.stderr}`);
    }
}

async function sell(container) {
    const run = async (flow, input) => (await flow(container).run({ input })).result;
    const link = container.resolve('link');
    const [channel] = await container.resolve(Modules.SALES_CHANNEL).listSalesChannels({}, { take: 1 });
    const places = await run(flows.createStockLocationsWorkflow, {
        locations: [{ name: 'Warehouse' }, { name: 'Store' }],
    });
    for (const place of places) {
        await run(flows.linkSalesChannelsToStockLocationWorkflow, { id: place.id, add: [channel.id] });
        await link.create({
            [Modules.STOCK_LOCATION]: { stock_location_id: place.id },
            [Modules.FULFILLMENT]: { fulfillment_provider_id: 'manual_manual' },
        });
    }
    const [region] = await run(flows.createRegionsWorkflow, {
        regions: [{ name: 'UK', currency_code: 'gbp', countries: ['gb'], payment_providers: ['pp_system_default'] }],
    });
    await run(flows.createTaxRegionsWorkflow, [{ country_code: 'gb', provider_id: 'tp_system' }]);
    const [profile] = await run(flows.createShippingProfilesWorkflow, { data: [{ name: 'Default', type: 'default' }] });
    const set = await container.resolve(Modules.FULFILLMENT).createFulfillmentSets({
        name: 'Post',
        type: 'shipping',
        service_zones: [{ name: 'UK', geo_zones: [{ country_code: 'gb', type: 'country' }] }],
    });
    await link.create({
        [Modules.STOCK_LOCATION]: { stock_location_id: places[0].id },
        [Modules.FULFILLMENT]: { fulfillment_set_id: set.id },
    });
    await run(flows.createShippingOptionsWorkflow, [
        {
            name: 'Post',
            price_type: 'flat',
            provider_id: 'manual_manual',
            service_zone_id: set.service_zones[0].id,
            shipping_profile_id: profile.id,
            type: { label: 'Post', description: '', code: 'post' },
            prices: [{ currency_code: 'gbp', amount: 5 }],
            rules: [],
        },
    ]);
    const products = [];
    for (let number = 1; number <= listings; number += 1) {
        const sku = `MED-${String(number).padStart(3, '0')}`;
        products.push({
            title: `Product ${number}`,
            status: 'published',
            shipping_profile_id: profile.id,
            sales_channels: [{ id: channel.id }],
            options: [{ title: 'Size', values: ['One'] }],
            variants: [
                {
                    title: 'One',
                    sku,
                    manage_inventory: true,
                    options: { Size: 'One' },
                    prices: [{ currency_code: 'gbp', amount: 10 }],
                },
            ],
        });
    }
    await run(flows.createProductsWorkflow, { products });
    const items = await container.resolve(Modules.INVENTORY).listInventoryItems({}, { take: listings });
    await run(flows.createInventoryLevelsWorkflow, {
        inventory_levels: items.map(item => ({
            inventory_item_id: item.id,
            location_id: places[0].id,
            stocked_quantity: 100,
        })),
    });
    const keys = await run(flows.createApiKeysWorkflow, {
        api_keys: [
            { title: 'Storefront', type: 'publishable', created_by: '' },
            { title: 'Owner', type: 'secret', created_by: '' },
        ],
    });
    const storefront = keys.find(key => key.type === 'publishable');
    await run(flows.linkSalesChannelsToApiKeyWorkflow, { id: storefront.id, add: [channel.id] });
    const owner = keys.find(key => key.type === 'secret');
    return { region: region.id, storefront: storefront.token, owner: owner.token };
}

async function prepare() {
    const { container } = await load({ directory: __dirname, expressApp: express(), skipLoadingEntryPoints: true });
    console.log(JSON.stringify(await sell(container)));
    process.exit(0);
}

async function serve() {
    const port = Number(process.env.PORT) || (await freePort());
    const app = express();
    const { shutdown } = await load({ directory: __dirname, expressApp: app });
    const server = app.listen(port, '127.0.0.1', () => console.log(`READY http://127.0.0.1:${port}`));
    const end = async () => {
        server.close();
        await shutdown().catch(() => {});
        process.exit(0);
    };
    process.stdin.resume();
    process.stdin.on('end', end);
    process.on('SIGTERM', end);
}

const done = process.argv[2] === 'prepare' ? (migrate(), prepare()) : serve();
done.catch(error => {
    console.error(error);
    process.exit(1);
});
