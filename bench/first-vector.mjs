/** The shortest useful program: load, embed one text, print one number of the vector. Timed from outside by main.mjs. */
import { Embedder } from '@x/embed-native'

const embedder = await Embedder.load(process.argv[2], { dtype: 'f32' })
const vector = await embedder.embed('the first vector of a cold process')
console.log(vector[0])
